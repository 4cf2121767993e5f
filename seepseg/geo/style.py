"""How QGIS shows slicks, coloured by class, and what goes with them: QML."""

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

from seepseg.base.colours import palette

GREY = (110, 110, 110)
FILLED = 60  # opacity of a slick's inside, of 255: the image below still shows
BORDER, THIN = 0.5, 0.2  # millimetres


def style_of_classes(class_names: Sequence[str]) -> str:
    """QML of a layer of slicks: a colour for each class, by `class_name`.

    Args:
        class_names: the K classes.
    """
    root, of_layer = renderer("categorizedSymbol")
    of_layer.set("attr", "class_name")
    categories, symbols = ET.SubElement(of_layer, "categories"), ET.SubElement(of_layer, "symbols")
    for number, (name, rgb) in enumerate(zip(class_names, palette(len(class_names) + 1)[1:].tolist(), strict=True)):
        ET.SubElement(categories, "category", value=name, label=name, symbol=str(number), render="true")
        add_symbol(symbols, str(number), "fill", "SimpleFill", _inside_and_edge(rgb))
    return text(root)


def style_of_others() -> str:
    """QML of a layer of what is no slick: grey."""
    return one_symbol("fill", "SimpleFill", _inside_and_edge(GREY))


def style_of_centrelines() -> str:
    """QML of a layer of centrelines: thin and grey."""
    return one_symbol("line", "SimpleLine", {"line_color": colour(GREY), "line_width": str(THIN)})


def style_of_footprints() -> str:
    """QML of a layer of what scenes have data of: no inside, and a thin edge of dashes."""
    edge = {"outline_color": colour(GREY), "outline_style": "dash", "outline_width": str(THIN)}
    return one_symbol("fill", "SimpleFill", {"style": "no"} | edge)


def one_symbol(kind: str, layer: str, options: Mapping[str, str]) -> str:
    """QML that shows all of a layer alike, see `add_symbol`."""
    root, of_layer = renderer("singleSymbol")
    add_symbol(ET.SubElement(of_layer, "symbols"), "0", kind, layer, options)
    return text(root)


def renderer(kind: str) -> tuple[ET.Element, ET.Element]:
    """The root of a style, and in it a renderer of a kind of QGIS's."""
    root = ET.Element("qgis", version="3.28.0", styleCategories="Symbology")
    return root, ET.SubElement(root, "renderer-v2", type=kind, symbollevels="0", enableorderby="0", forceraster="0")


def add_symbol(symbols: ET.Element, name: str, kind: str, layer: str, options: Mapping[str, str]) -> ET.Element:
    """Add a symbol of one layer of QGIS's, and give that layer.

    Args:
        symbols: of the renderer.
        name: by which the renderer knows it.
        kind: fill, line or marker.
        layer: SimpleFill, SimpleLine or SimpleMarker.
        options: of the layer; lengths in millimetres.
    """
    symbol = ET.SubElement(symbols, "symbol", type=kind, name=name, alpha="1", clip_to_extent="1", force_rhr="0")
    of_symbol = ET.SubElement(symbol, "layer", {"class": layer, "enabled": "1", "pass": "0", "locked": "0"})
    of_layer = ET.SubElement(of_symbol, "Option", type="Map")
    for key, value in options.items():
        ET.SubElement(of_layer, "Option", type="QString", name=key, value=value)
        ET.SubElement(of_symbol, "prop", k=key, v=value)  # what QGIS before 3.26 reads
    return of_symbol


def text(root: ET.Element) -> str:
    """The file of a style."""
    ET.indent(root)
    return f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{ET.tostring(root, encoding='unicode')}\n"


def colour(rgb: Sequence[int], opacity: int = 255) -> str:
    """A colour as QGIS writes it."""
    return ",".join(map(str, (*rgb, opacity)))


def _inside_and_edge(rgb: Sequence[int]) -> dict[str, str]:
    return {
        "color": colour(rgb, FILLED),
        "style": "solid",
        "outline_color": colour(rgb),
        "outline_style": "solid",
        "outline_width": str(BORDER),
        "outline_width_unit": "MM",
        "joinstyle": "miter",
    }
