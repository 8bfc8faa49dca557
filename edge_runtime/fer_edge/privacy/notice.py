"""A page for the door that informs the people whom a camera sees: HTML on one sheet, offline, without scripts."""

import html
from typing import NamedTuple

from fer_edge.guards.text import printable

LANGUAGES = ("en", "de")

ICON = (
    '<svg viewBox="0 0 240 120" role="img" aria-label="{alt}"><g fill="none" stroke="currentColor" stroke-width="8"'
    ' stroke-linecap="round" stroke-linejoin="round"><rect x="8" y="28" width="78" height="60" rx="8"/>'
    '<circle cx="47" cy="58" r="16"/><path d="M20 28V16h18v12M104 58h28M122 46l12 12-12 12"/>'
    '<circle cx="190" cy="58" r="40"/><path d="M172 70q18 18 36 0"/></g><g fill="currentColor">'
    '<circle cx="176" cy="48" r="5"/><circle cx="204" cy="48" r="5"/></g></svg>'
)
SOFT_HYPHEN = "\u00ad"
STYLE = """
@page { size: A4; margin: 0 } /* so that the browser prints neither the file's path nor the date on it */
* { box-sizing: border-box }
body { margin: 0 auto; padding: 5mm; max-width: 180mm; color: #000; background: #fff;
  font: 13pt/1.4 system-ui, "DejaVu Sans", sans-serif; overflow-wrap: anywhere }
svg { display: block; width: 72mm; max-width: 100%; margin: 0 auto 6mm }
h1 { margin: 0 0 5mm; font-size: clamp(19pt, 7vw, 27pt); line-height: 1.15; text-align: center; text-wrap: balance }
p, ul { margin: 0 0 4mm }
dl { margin: 5mm 0; padding: 4mm 5mm; border: 1mm solid #000; border-radius: 2mm }
dt { font-weight: 700 }
dd { margin: 0 0 3mm; min-height: 1.4em }
dd:last-child { margin: 0 }
.line { border-bottom: 0.3mm solid #000; min-height: 9mm }
.law { font-size: 10pt; line-height: 1.35; margin: 0 }
@media print { body { padding: 18mm; max-width: none } h1 { font-size: 27pt } }
"""


class _Text(NamedTuple):
    title: str
    alt: str
    what: str
    limits: tuple[str, ...]
    purpose: str
    stored: str
    contact: str
    rights: str
    law: str


TEXTS = {
    "en": _Text(
        title="A camera here reads facial expressions",
        alt="A camera looks at a face",
        what="A computer program finds faces in the camera’s picture and estimates which expression each one shows, "
        "such as happy, sad or surprised.",
        limits=(
            "The program does not know who you are, and it does not know how you feel.",
            "It is often wrong.",
            "You don’t want that? Ask us how to stay out of the camera’s view.",
        ),
        purpose="What we use it for",
        stored="What we keep, on which legal basis, how long, and who receives it",
        contact="Who is responsible, and whom you can ask",
        rights="You may ask what we hold about you, have it corrected or deleted, object to its use, and complain to "
        "the data protection authority.",
        law="This notice informs you as Article 50(3) of the EU’s AI Act (Regulation (EU) 2024/1689) and Article 13 of "
        "the GDPR ask. Your rights: Articles 15 to 21 and 77 of the GDPR. Article 5(1)(f) of the AI Act prohibits "
        "emotion recognition at work and in education, except for medical or safety reasons.",
    ),
    "de": _Text(
        title=f"Hier wertet eine Kamera Gesichts{SOFT_HYPHEN}ausdrücke aus",
        alt="Eine Kamera blickt auf ein Gesicht",
        what="Ein Computerprogramm findet Gesichter im Bild der Kamera und schätzt, welchen Ausdruck jedes zeigt, zum "
        "Beispiel fröhlich, traurig oder überrascht.",
        limits=(
            "Das Programm weiß nicht, wer Sie sind, und es weiß nicht, was Sie fühlen.",
            "Es irrt sich oft.",
            "Sie möchten das nicht? Fragen Sie uns, wie Sie nicht ins Bild der Kamera kommen.",
        ),
        purpose="Wozu wir das nutzen",
        stored="Was wir speichern, auf welcher Rechtsgrundlage, wie lange, und wer es erhält",
        contact="Wer verantwortlich ist und wen Sie fragen können",
        rights="Sie können Auskunft über Ihre Daten verlangen, sie berichtigen oder löschen lassen, der Nutzung "
        "widersprechen und sich bei der Datenschutzbehörde beschweren.",
        law="Dieser Hinweis informiert Sie nach Artikel 50 Absatz 3 der KI-Verordnung (Verordnung (EU) 2024/1689) und "
        "Artikel 13 der DSGVO. Ihre Rechte: Artikel 15 bis 21 und 77 DSGVO. Artikel 5 Absatz 1 Buchstabe f der "
        "KI-Verordnung verbietet Emotionserkennung am Arbeitsplatz und in Bildungseinrichtungen, außer aus "
        "medizinischen Gründen oder Sicherheitsgründen.",
    ),
}


def notice_page(lang: str, contact: str, purpose: str) -> str:
    """The page as HTML. contact, purpose: plain text, of one or more lines; it is escaped.

    Raises ValueError for another language than those in LANGUAGES and for a text without a visible character.

    >>> page = notice_page("en", "Museum, desk at the entrance", "To see which exhibits please.")
    >>> "<script" in page, "Museum, desk at the entrance" in page
    (False, True)
    """
    if lang not in TEXTS:
        raise ValueError(f"lang={lang!r}: use {' or '.join(LANGUAGES)}")
    text = TEXTS[lang]
    limits = "".join(f"<li>{html.escape(limit)}</li>" for limit in text.limits)
    parts = [
        ICON.format(alt=html.escape(text.alt)),
        f"<h1>{html.escape(text.title)}</h1>",
        f"<p>{html.escape(text.what)}</p>",
        f"<ul>{limits}</ul>",
        f"<dl><dt>{html.escape(text.purpose)}</dt><dd>{_escaped('purpose', purpose)}</dd>"
        f'<dt>{html.escape(text.stored)}</dt><dd class="line"></dd><dd class="line"></dd>'
        f"<dt>{html.escape(text.contact)}</dt><dd>{_escaped('contact', contact)}</dd></dl>",
        f"<p>{html.escape(text.rights)}</p>",
        f'<p class="law">{html.escape(text.law)}</p>',
    ]
    head = (
        f'<!doctype html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(text.title.replace(SOFT_HYPHEN, ''))}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    )
    return head + "\n".join(parts) + "\n</body>\n</html>\n"


def _escaped(name: str, text: str) -> str:
    lines = [printable(line.strip()) for line in text.strip().splitlines()]
    if not any(lines):
        raise ValueError(f"{name} is empty: it tells people {'whom to ask' if name == 'contact' else 'what for'}")
    return "<br>".join(html.escape(line) for line in lines)
