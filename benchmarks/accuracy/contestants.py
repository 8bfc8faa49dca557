"""Who is measured: heads of our files, and other people's recognizers, all with probabilities of the same emotions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.heads import EMOTIONS, Faces, Probabilities, open_heads
from benchmarks.peers import open_all
from fer_models import model_path


@dataclass(frozen=True)
class Contestant:
    """A recognizer: predict takes faces uint8 [N, 48, 48] to probabilities of EMOTIONS [N, 8].

    detail: what it is, in a word or two. head: of our file, None if it has one only. ours: whether it is a file of
    ours. preprocessing: how a peer prepares a face for its network. file_mb:
    size of its file in 10^6 bytes, None if unknown.
    """

    name: str
    predict: Callable[[Faces], Probabilities]
    detail: str
    head: str | None = None
    ours: bool = False
    preprocessing: str = ""
    file_mb: float | None = None


def contestants(
    models: Sequence[Path], heads: Sequence[str], peers: Sequence[str], threads: int, skip: Callable[[str], None]
) -> Iterator[Contestant]:
    """The heads of each file (default: the shipped int8 one), then the peers that can be run.

    skip: gets a sentence for each peer that cannot, and for each head whose labels are no emotions.
    """
    for path in models or (model_path("int8"),):
        for head in open_heads(path, heads, threads):
            if not head.is_emotional:
                skip(
                    f"{head.title}: its labels {', '.join(head.classifier.labels)} are not among {', '.join(EMOTIONS)}"
                )
                continue
            file_mb = path.stat().st_size / 1e6
            detail = f"{head.classifier.precision}, {file_mb:.2f} MB"
            yield Contestant(head.title, head.predict, detail, head.name, True, file_mb=file_mb)
    for peer in open_all(peers, skip):
        size = "" if peer.file_mb is None else f", {peer.file_mb:.2f} MB"
        # The default argument binds this peer; a bare closure would see the last one.
        yield Contestant(
            peer.name, lambda faces, peer=peer: peer.predict(faces, EMOTIONS), peer.version + size,  # type: ignore[misc]
            preprocessing=peer.preprocessing, file_mb=peer.file_mb,
        )  # fmt: skip
