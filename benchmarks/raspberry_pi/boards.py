"""The emulated Raspberry Pis: the emulator's processor, and what the kernel would report about it.

onnxruntime chooses its kernels by /proc/cpuinfo, and crashes on import where the file is missing. The emulator shows
the guest the files in its root. /proc/cpuinfo must fit the emulated processor: if it lists dot-product instructions
for a Cortex-A72, onnxruntime dies of an illegal instruction.
"""

from dataclasses import dataclass
from pathlib import Path

CORES = 4


@dataclass(frozen=True)
class Board:
    """A Raspberry Pi.

    name: its common name. cpu: the emulator's name of its processor. features, variant, part, revision: what its
    kernel writes to /proc/cpuinfo (Arm's Main ID register, and the kernel's names of instruction-set extensions).
    """

    name: str
    cpu: str
    features: tuple[str, ...]
    variant: str
    part: str
    revision: str

    def cpuinfo(self) -> str:
        """The text of /proc/cpuinfo."""
        return "".join(
            f"processor\t: {core}\n"
            "BogoMIPS\t: 108.00\n"
            f"Features\t: {' '.join(self.features)}\n"
            "CPU implementer\t: 0x41\n"
            "CPU architecture: 8\n"
            f"CPU variant\t: {self.variant}\n"
            f"CPU part\t: {self.part}\n"
            f"CPU revision\t: {self.revision}\n\n"
            for core in range(CORES)
        )


# The features that Raspberry Pi OS (64 bit) lists. The Pi 4 even lacks the cryptographic extensions.
BOARDS = {
    "pi4": Board("Raspberry Pi 4", "cortex-a72", ("fp", "asimd", "evtstrm", "crc32", "cpuid"), "0x0", "0xd08", "3"),
    "pi5": Board(
        "Raspberry Pi 5", "cortex-a76",
        ("fp", "asimd", "evtstrm", "aes", "pmull", "sha1", "sha2", "crc32", "atomics", "fphp", "asimdhp", "cpuid",
         "asimdrdm", "lrcpc", "dcpop", "asimddp"),
        "0x4", "0xd0b", "1",
    ),
}  # fmt: skip


def write_processor_files(root: Path, board: Board) -> None:
    """Write the files that show programs in `root` the processor of `board`."""
    cores = root / "sys/devices/system/cpu"
    for folder in (root / "proc", cores):
        folder.mkdir(parents=True, exist_ok=True)
    (root / "proc/cpuinfo").write_text(board.cpuinfo(), encoding="ascii")
    for name in ("possible", "present"):
        (cores / name).write_text(f"0-{CORES - 1}\n", encoding="ascii")
