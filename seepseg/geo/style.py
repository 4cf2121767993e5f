"""How QGIS shows slicks: QML, coloured by class."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from seepseg.base.colours import palette

GREY = (110, 110, 110)
FILLED = 60  # opacity of a slick's inside, of 255: the image below still shows
BORDER = 0.5  # millimetres


def style_of_classes(class_names: Sequence[str]) -> str:
    """QML of a layer of slicks: a colour for each class, by `class_name`.

    Args:
        class_names: the K classes.
    """
    root, renderer = _renderer("categorizedSymbol")
    renderer.set("attr", "class_name")
    categories, symbols = ET.SubElement(renderer, "categories"), ET.SubElement(renderer, "symbols")
    for number, (name, rgb) in enumerate(zip(class_names, palette(len(class_names) + 1)[1:].tolist(), strict=True)):
        ET.SubElement(categories, "category", value=name, label=name, symbol=str(number), render="true")
        _add_symbol(symbols, str(number), rgb)
    return _text(root)


def style_of_others() -> str:
    """QML of a layer of what is no slick: grey."""
    root, renderer = _renderer("singleSymbol")
    _add_symbol(ET.SubElement(renderer, "symbols"), "0", GREY)
    return _text(root)


def _renderer(kind: str) -> tuple[ET.Element, ET.Element]:
    root = ET.Element("qgis", version="3.28.0", styleCategories="Symbology")
    return root, ET.SubElement(root, "renderer-v2", type=kind, symbollevels="0", enableorderby="0", forceraster="0")


def _add_symbol(symbols: ET.Element, name: str, rgb: Sequence[int]) -> None:
    symbol = ET.SubElement(symbols, "symbol", type="fill", name=name, alpha="1", clip_to_extent="1", force_rhr="0")
    layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "pass": "0", "locked": "0"})
    colour = ",".join(map(str, rgb))
    options = {
        "color": f"{colour},{FILLED}",
        "style": "solid",
        "outline_color": f"{colour},255",
        "outline_style": "solid",
        "outline_width": str(BORDER),
        "outline_width_unit": "MM",
        "joinstyle": "miter",
    }
    of_layer = ET.SubElement(layer, "Option", type="Map")
    for key, value in options.items():
        ET.SubElement(of_layer, "Option", type="QString", name=key, value=value)
        ET.SubElement(layer, "prop", k=key, v=value)  # what QGIS before 3.26 reads


def _text(root: ET.Element) -> str:
    ET.indent(root)
    return f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{ET.tostring(root, encoding='unicode')}\n"
