"""How QGIS shows seeps: QML.

Reported ones are coloured by the probability of being one, and are the larger the more often a pass shows them; others
are small rings. Platforms are squares.
"""

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from seepseg.geo.style import GREY, add_symbol, colour, one_symbol, renderer, text

# Lower bounds of p_seep, pale to dark, which also read in print.
COLOURS: Mapping[float, tuple[int, int, int]] = {
    0.95: (122, 1, 119),
    0.8: (197, 27, 138),
    0.5: (247, 104, 161),
    0.0: (251, 180, 185),
}
DARK, PLATFORM = (35, 35, 35), (47, 75, 124)  # edge of a marker; inside of a platform's
SIZE = 'coalesce(2 + 4 * "recurrence_rate", 2)'  # millimetres
BORDER, SMALL = "0.3", "1.8"  # millimetres, likewise
FAINT = 110  # opacity of lines to slicks, of 255: there are many


def style_of_seeps() -> str:
    """QML of a layer of seeps as points: circles by `p_seep`, squares for platforms, larger by `recurrence_rate`.

    Those that are not `reported` are small and empty.
    """
    is_platform, is_reported = "\"kind\" = 'platform'", '"reported"'
    rules = {
        "seep, not reported": (f"NOT {is_reported} AND NOT {is_platform}", _marker("circle", None)),
        "platform, not reported": (f"NOT {is_reported} AND {is_platform}", _marker("square", None)),
    }
    bounds = list(COLOURS)[::-1]
    for lower, upper in zip(bounds, [*bounds[1:], None], strict=True):
        below = "" if upper is None else f' AND "p_seep" < {upper}'
        label = f"reported seep, probability from {lower}" + ("" if upper is None else f" to {upper}")
        condition = f'{is_reported} AND NOT {is_platform} AND "p_seep" >= {lower}{below}'
        rules[label] = condition, _marker("circle", COLOURS[lower])
    rules["reported platform"] = f"{is_reported} AND {is_platform}", _marker("square", PLATFORM)
    root, symbols = _by_rules("marker", "SimpleMarker", rules)
    for label, of_symbol in zip(rules, symbols, strict=True):
        if label.startswith("reported"):
            _add_size(of_symbol)
    return text(root)


def style_of_errors() -> str:
    """QML of a layer of error ellipses: no inside, a thin edge; dots around what is not reported."""
    edge = {"style": "no", "outline_width": BORDER, "outline_width_unit": "MM", "outline_color": colour(DARK)}
    faint = edge | {"outline_style": "dot", "outline_color": colour(GREY, FAINT)}
    rules = {"not reported": ('NOT "reported"', faint), "reported": ('"reported"', edge)}
    return text(_by_rules("fill", "SimpleFill", rules)[0])


def style_of_links() -> str:
    """QML of a layer of lines from seeps to the far ends of their slicks: thin and pale."""
    return one_symbol("line", "SimpleLine", {"line_color": colour(GREY, FAINT), "line_width": "0.2"})


def _by_rules(
    kind: str, layer: str, rules: Mapping[str, tuple[str, Mapping[str, str]]]
) -> tuple[ET.Element, list[ET.Element]]:
    """The root of a style, and the layers of its symbols.

    Args:
        kind: of the symbols, see `seepseg.geo.style.add_symbol`.
        layer: of each symbol, likewise.
        rules: which features, as an expression, and the options of the symbol, by what the legend says; later ones lie
            above.
    """
    root, of_layer = renderer("RuleRenderer")
    of_layer.set("symbollevels", "1")  # the pass of a symbol says what lies above what
    tree, symbols, layers = ET.SubElement(of_layer, "rules", key="all"), ET.SubElement(of_layer, "symbols"), []
    for number, (label, (condition, options)) in enumerate(rules.items()):
        ET.SubElement(tree, "rule", key=f"rule{number}", filter=condition, symbol=str(number), label=label)
        layers.append(add_symbol(symbols, str(number), kind, layer, options))
        layers[-1].set("pass", str(number))
    return root, layers


def _marker(shape: str, rgb: tuple[int, int, int] | None) -> dict[str, str]:
    """Options of a marker; a small empty one without a colour."""
    inside = {"color": colour((255, 255, 255), FAINT), "outline_color": colour(GREY), "size": SMALL}
    if rgb is not None:
        inside = {"color": colour(rgb), "outline_color": colour(DARK), "size": "4"}
    return {"name": shape, "outline_width": BORDER, "size_unit": "MM"} | inside


def _add_size(of_symbol: ET.Element) -> None:
    """Let an expression say how large a marker is."""
    properties = ET.SubElement(ET.SubElement(of_symbol, "data_defined_properties"), "Option", type="Map")
    ET.SubElement(properties, "Option", type="QString", name="name", value="")
    size = ET.SubElement(
        ET.SubElement(properties, "Option", type="Map", name="properties"), "Option", type="Map", name="size"
    )
    ET.SubElement(size, "Option", type="bool", name="active", value="true")
    ET.SubElement(size, "Option", type="QString", name="expression", value=SIZE)
    ET.SubElement(size, "Option", type="int", name="type", value="3")
    ET.SubElement(properties, "Option", type="QString", name="type", value="collection")
