"""Gain map metadata in XMP: Adobe's ``hdrgm`` and Google's container directory."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.extras import load
from vs_gainmap.gainmap import GainMapMetadata, Triple

HDRGM = "http://ns.adobe.com/hdr-gain-map/1.0/"
CONTAINER = "http://ns.google.com/photos/1.0/container/"
ITEM = "http://ns.google.com/photos/1.0/container/item/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

# A JPEG segment holds 64 KB; ISOBMFF could hold more than any real packet has.
MAX_PACKET = 1 << 20
MAX_SEGMENT = 65533 - len(b"http://ns.adobe.com/xap/1.0/\0")

MAX_DEPTH = 64
_REAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
ELEMENT, TEXT = 1, 3

Properties = dict[str, list[str]]
# Nodes of xml.dom.minidom, which keeps prefixes and order.
Node = Any


def read_properties(packet: bytes, namespace: str) -> Properties:
    """Return the simple and array properties of one namespace, by local name.

    Args:
        packet: an XMP packet.
        namespace: whose properties to return.

    Raises:
        MetadataError: the packet is too large, no XML, or carries a document type.
    """
    found: Properties = defaultdict(list)
    for element in _elements(_parse(packet).documentElement):
        for attribute in element.attributes.values():
            if attribute.namespaceURI == namespace:
                found[attribute.localName].append(attribute.value)
        if element.namespaceURI == namespace:
            found[element.localName].extend(_values(element))
    return dict(found)


def _parse(packet: bytes) -> Node:
    """Return the document of a packet, without entities or a document type.

    Raises:
        MetadataError: the packet is too large, no such XML, or too deep.
    """
    if len(packet) > MAX_PACKET:
        raise MetadataError(f"XMP: the packet has {len(packet)} bytes, more than {MAX_PACKET}")
    minidom = load("defusedxml.minidom", "defusedxml")
    try:
        document = minidom.parseString(packet.strip(b"\0 \t\r\n"), forbid_dtd=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:100]
        raise MetadataError(f"XMP: the packet is not safe XML: {reason}") from error
    _elements(document.documentElement)
    return document


def _elements(root: Node) -> list[Node]:
    """Return an element and all those in it, parents before their children.

    Raises:
        MetadataError: they are nested deeper than in any real packet.
    """
    found, level = [], [root]
    for _ in range(MAX_DEPTH):
        found += level
        level = _children(level)
        if not level:
            return found
    raise MetadataError(f"XMP: more than {MAX_DEPTH} elements inside each other")


def _children(elements: list[Node]) -> list[Node]:
    return [child for one in elements for child in one.childNodes if child.nodeType == ELEMENT]


def _is(node: Node, namespace: str, name: str) -> bool:
    return (node.namespaceURI, node.localName) == (namespace, name)


def _text(element: Node) -> str:
    return "".join(node.data for node in element.childNodes if node.nodeType == TEXT).strip()


def _values(element: Node) -> list[str]:
    items = [
        item
        for sequence in element.childNodes
        if _is(sequence, RDF, "Seq")
        for item in sequence.childNodes
        if _is(item, RDF, "li")
    ]
    return [text for text in map(_text, items or [element]) if text]


def read_real(text: str, name: str) -> float:
    """Return a number as XMP writes it (ISO 16684-1, 8.2.1.4), or with an exponent.

    Raises:
        MetadataError: it is none; Python takes more for a number.
    """
    if not _REAL.fullmatch(text.strip()):
        raise MetadataError(f"XMP: {name} is not a number: {text[:40]!r}")
    return float(text)


def _triple(found: Properties, name: str, default: float | None) -> Triple:
    texts = found.get(name)
    if not texts:
        if default is None:
            raise MetadataError(f"XMP: the gain map has no hdrgm:{name}")
        return (default, default, default)
    if len(texts) not in (1, 3):
        raise MetadataError(f"XMP: hdrgm:{name} has {len(texts)} values instead of one or three")
    red, green, blue = (read_real(text, f"hdrgm:{name}") for text in texts * (3 // len(texts)))
    return (red, green, blue)


def read_hdrgm(packet: bytes) -> GainMapMetadata | None:
    """Read Adobe's gain map metadata (Gain Map Specification 1.0, "Metadata").

    Args:
        packet: the XMP packet of the gain map image.

    Returns:
        The metadata; None where the packet has no gain map's range.

    Raises:
        MetadataError: malformed.
    """
    if b"hdr-gain-map" not in packet:
        return None
    found = read_properties(packet, HDRGM)
    if "GainMapMax" not in found:
        return None
    high = _triple(found, "GainMapMax", None)
    sdr_offset = _triple(found, "OffsetSDR", 1 / 64)
    hdr_offset = _triple(found, "OffsetHDR", 1 / 64)
    sdr_headroom = _triple(found, "HDRCapacityMin", 0.0)[0]
    hdr_headroom = _triple(found, "HDRCapacityMax", max(*high, sdr_headroom))[0]
    base_is_hdr = found.get("BaseRenditionIsHDR", ["False"])[0].lower() == "true"
    return GainMapMetadata(
        gain_map_min=_triple(found, "GainMapMin", 0.0),
        gain_map_max=high,
        gamma=_triple(found, "Gamma", 1.0),
        base_offset=hdr_offset if base_is_hdr else sdr_offset,
        alternate_offset=sdr_offset if base_is_hdr else hdr_offset,
        base_headroom=hdr_headroom if base_is_hdr else sdr_headroom,
        alternate_headroom=sdr_headroom if base_is_hdr else hdr_headroom,
        base_is_hdr=base_is_hdr,
    )


def _number(value: float) -> str:
    return f"{value:.8f}".rstrip("0").rstrip(".") or "0"


def write_hdrgm(metadata: GainMapMetadata) -> bytes:
    """Return the XMP packet for a gain map image; equal channels as one value."""
    hdr, sdr = metadata.alternate_offset, metadata.base_offset
    headrooms = (metadata.base_headroom, metadata.alternate_headroom)
    if metadata.base_is_hdr:
        hdr, sdr = sdr, hdr
        headrooms = headrooms[::-1]
    triples: dict[str, Triple] = {
        "GainMapMin": metadata.gain_map_min,
        "GainMapMax": metadata.gain_map_max,
        "Gamma": metadata.gamma,
        "OffsetSDR": sdr,
        "OffsetHDR": hdr,
    }
    simple = {name: _number(v[0]) for name, v in triples.items() if len(set(v)) == 1}
    simple["HDRCapacityMin"], simple["HDRCapacityMax"] = (_number(h) for h in headrooms)
    simple["BaseRenditionIsHDR"] = str(metadata.base_is_hdr)
    attributes = "".join(f'\n   hdrgm:{name}="{text}"' for name, text in simple.items())
    arrays = "".join(
        f"\n   <hdrgm:{name}><rdf:Seq>"
        + "".join(f"<rdf:li>{_number(value)}</rdf:li>" for value in values)
        + f"</rdf:Seq></hdrgm:{name}>"
        for name, values in triples.items()
        if name not in simple
    )
    return _packet(f' xmlns:hdrgm="{HDRGM}" hdrgm:Version="1.0"{attributes}', arrays)


def write_directory(gain_map_bytes: int) -> bytes:
    """Return the XMP packet for a base image: version and container directory.

    Args:
        gain_map_bytes: length of the gain map image that follows.
    """
    return _packet(*_directory(gain_map_bytes))


def merge_directory(packet: bytes, gain_map_bytes: int) -> bytes:
    """Add version and container directory to a packet that a photo has already.

    Where the packet has a directory (a motion photo's, which names the clip behind the
    picture), the gain map becomes its second item. What the packet has of another gain map goes:
    the map that it described is gone. Everything else stays, but for padding.

    Args:
        packet: XMP of the photo; replaced as a whole where it is no XMP.
        gain_map_bytes: length of the gain map image that follows.

    Raises:
        MediaError: the packet leaves no room.
    """
    try:
        document = _parse(packet)
    except MetadataError:
        return write_directory(gain_map_bytes)
    root = next((e for e in _elements(document.documentElement) if _is(e, RDF, "RDF")), None)
    if root is None:
        return write_directory(gain_map_bytes)
    for element in _elements(document.documentElement):
        _remove_gain_map(element)
    added = _parse(write_directory(gain_map_bytes)).documentElement
    description = next(e for e in _elements(added) if _is(e, RDF, "Description"))
    entries = [e for e in _elements(document.documentElement) if _is(e, RDF, "li") and _semantic(e)]
    if entries:
        directory = next(e for e in _elements(added) if _is(e, CONTAINER, "Directory"))
        entry = [e for e in _elements(directory) if _is(e, RDF, "li")][1]
        description.removeChild(directory)
        # The packet may bind these prefixes otherwise.
        for prefix, uri in (("rdf", RDF), ("Container", CONTAINER), ("Item", ITEM)):
            entry.setAttribute(f"xmlns:{prefix}", uri)
        entries[0].parentNode.insertBefore(entry, entries[0].nextSibling)
    for element in [] if entries else _elements(document.documentElement):
        if _is(element, CONTAINER, "Directory"):
            element.parentNode.removeChild(element)
    root.appendChild(description)
    merged = b"".join(node.toxml("utf-8") for node in document.childNodes)
    if len(merged) > MAX_SEGMENT:
        raise MediaError("XMP: the photo's own packet leaves no room for the gain map's entry")
    return merged


def _remove_gain_map(element: Node) -> None:
    """Remove what an element has of a gain map: Adobe's properties, and entries of a directory."""
    stale = _is(element, RDF, "li") and _semantic(element) == "GainMap"
    if element.namespaceURI == HDRGM or stale:
        element.parentNode.removeChild(element)
        return
    for attribute in list(element.attributes.values()):
        if attribute.namespaceURI == HDRGM:
            element.removeAttributeNode(attribute)


def _semantic(entry: Node) -> str | None:
    """Return what an entry of a directory is, written as an attribute or as an element."""
    items = _children([entry])
    for element in (entry, *items, *_children(items)):
        if element.hasAttributeNS(ITEM, "Semantic"):
            return str(element.getAttributeNS(ITEM, "Semantic")).strip()
        if _is(element, ITEM, "Semantic"):
            return _text(element)
    return None


_VERSION = f' xmlns:hdrgm="{HDRGM}" hdrgm:Version="1.0"'


def _directory(gain_map_bytes: int) -> tuple[str, str]:
    attributes = f'{_VERSION} xmlns:Container="{CONTAINER}" xmlns:Item="{ITEM}"'
    items = ('Item:Semantic="Primary"', f'Item:Semantic="GainMap" Item:Length="{gain_map_bytes}"')
    entries = "".join(
        '\n     <rdf:li rdf:parseType="Resource">'
        f'<Container:Item {item} Item:Mime="image/jpeg"/></rdf:li>'
        for item in items
    )
    children = (
        f"\n   <Container:Directory>\n    <rdf:Seq>{entries}\n    </rdf:Seq>"
        "\n   </Container:Directory>"
    )
    return attributes, children


def _description(attributes: str, children: str) -> str:
    return (
        f'<rdf:Description xmlns:rdf="{RDF}" rdf:about=""{attributes}>{children}'
        "\n  </rdf:Description>"
    )


def _packet(attributes: str, children: str) -> bytes:
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="vs-gainmap">\n <rdf:RDF xmlns:rdf="{RDF}">'
        f"\n  {_description(attributes, children)}\n </rdf:RDF>\n</x:xmpmeta>\n"
    ).encode()
