"""Gain map metadata in XMP: Adobe's ``hdrgm`` and Google's container directory."""

from __future__ import annotations

import re
from collections import defaultdict
from xml.etree.ElementTree import Element, ParseError

from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.gainmap import GainMapMetadata, Triple
from vs_gainmap.photo.optional import load

HDRGM = "http://ns.adobe.com/hdr-gain-map/1.0/"
CONTAINER = "http://ns.google.com/photos/1.0/container/"
ITEM = "http://ns.google.com/photos/1.0/container/item/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

# A JPEG segment holds 64 KB; ISOBMFF could hold more than any real packet has.
MAX_PACKET = 1 << 20
MAX_SEGMENT = 65533 - len(b"http://ns.adobe.com/xap/1.0/\0")

Properties = dict[str, list[str]]


def read_properties(packet: bytes, namespace: str) -> Properties:
    """Return the simple and array properties of one namespace, by local name.

    Args:
        packet: an XMP packet.
        namespace: whose properties to return.

    Raises:
        MetadataError: the packet is too large, no XML, or carries a document type.
    """
    if len(packet) > MAX_PACKET:
        raise MetadataError(f"XMP: the packet has {len(packet)} bytes, more than {MAX_PACKET}")
    defused = load("defusedxml.ElementTree", "defusedxml")
    common = load("defusedxml.common", "defusedxml")
    try:
        root = defused.fromstring(packet.strip(b"\0 \t\r\n"), forbid_dtd=True)
    except (ParseError, common.DefusedXmlException, ValueError, LookupError) as error:
        raise MetadataError(f"XMP: the packet is not safe XML: {str(error)[:100]}") from error
    found: Properties = defaultdict(list)
    prefix = f"{{{namespace}}}"
    for element in root.iter():
        for name, value in element.attrib.items():
            if name.startswith(prefix):
                found[name.removeprefix(prefix)].append(value)
        if isinstance(element.tag, str) and element.tag.startswith(prefix):
            found[element.tag.removeprefix(prefix)].extend(_values(element))
    return dict(found)


def _values(element: Element) -> list[str]:
    items = element.findall(f"{{{RDF}}}Seq/{{{RDF}}}li")
    texts = [item.text for item in items] if items else [element.text]
    return [text.strip() for text in texts if text and text.strip()]


def _triple(found: Properties, name: str, default: float | None) -> Triple:
    texts = found.get(name)
    if not texts:
        if default is None:
            raise MetadataError(f"XMP: the gain map has no hdrgm:{name}")
        return (default, default, default)
    try:
        values = [float(text) for text in texts[:3]]
    except ValueError as error:
        raise MetadataError(f"XMP: hdrgm:{name} is not a number: {texts[0][:40]!r}") from error
    if len(values) == 3:
        return (values[0], values[1], values[2])
    return (values[0], values[0], values[0])


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
    picture), the gain map becomes its second item. Everything else in the packet stays as it
    is, but for the padding where space is short.

    Raises:
        MediaError: the packet ends otherwise than XMP does, or has no room left.
    """
    end = re.search(rb"</([\w.-]+:)?RDF\s*>", packet)
    if end is None:
        raise MediaError("XMP: the photo's own packet has no end of rdf:RDF")
    attributes, children = _directory(gain_map_bytes)
    extended = _extend_directory(packet[: end.start()], gain_map_bytes)
    if extended is None:
        extended = packet[: end.start()]
    else:
        attributes, children = _VERSION, ""
    description = _description(attributes, children).encode()
    merged = extended + description + b"\n" + packet[end.start() :]
    if len(merged) > MAX_SEGMENT:
        merged = re.sub(rb"\s+(<\?xpacket end)", rb"\n\1", merged)
    if len(merged) > MAX_SEGMENT:
        raise MediaError("XMP: the photo's own packet leaves no room for the gain map's entry")
    return merged


def _extend_directory(packet: bytes, gain_map_bytes: int) -> bytes | None:
    """Put the gain map behind the first item of a packet's directory; None where it has none.

    The entry uses the packet's own prefixes, which simple readers go by.
    """
    container, item, rdf = (_prefix(packet, uri) for uri in (CONTAINER, ITEM, RDF))
    if container is None or item is None or rdf is None:
        return None
    found = re.search(
        rb"<%b:Directory\b.*?</%b:Directory\s*>" % (container, container), packet, re.S
    )
    if found is None:
        return None
    entries = list(re.finditer(rb"<%b:li\b.*?</%b:li\s*>" % (rdf, rdf), found[0], re.S))
    # An entry for a map that is gone would shift every place that a reader computes.
    kept = [e[0] for e in entries if not re.search(rb"Semantic\s*=\s*[\"']GainMap", e[0])]
    if not kept:
        return None
    entry = (
        b'<%b:li %b:parseType="Resource"><%b:Item %b:Semantic="GainMap" %b:Length="%d" '
        b'%b:Mime="image/jpeg"/></%b:li>'
        % (rdf, rdf, container, item, item, gain_map_bytes, item, rdf)
    )
    inside = b"\n".join((kept[0], entry, *kept[1:]))
    first, last = found.start() + entries[0].start(), found.start() + entries[-1].end()
    return packet[:first] + inside + packet[last:]


def _prefix(packet: bytes, namespace: str) -> bytes | None:
    declared = rb"xmlns:([\w.-]+)\s*=\s*[\"']%b[\"']" % re.escape(namespace.encode())
    found = re.search(declared, packet)
    return found[1] if found else None


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
