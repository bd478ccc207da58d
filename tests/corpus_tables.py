"""Bad configs, manifests, tables of pairs and sample files, for `corpus`."""

import io
import json
import zipfile

CONFIG = ("predict", "good.tif", "--model", "ndsi", "-o", "out/p.tif", "--config", "{}")
TRAIN = ("train", "{}", "--export", "out/x.npz", "--epochs", "1")
PAIRS = ("evaluate", "--pairs", "{}")
SHALLOW = 5000


def add(corpus):
    """Add the cases of tables."""
    _configs(corpus)
    _manifests(corpus)
    _pairs(corpus)
    _samples(corpus)


def _configs(corpus):
    corpus.write("good.toml", "keep = 0.8\n[engine]\nbatch = 1\n", CONFIG, 0)
    corpus.write("list.toml", 'scene = "good.tif"\n', TRAIN)
    for name, text in {
        "broken": "keep = ",
        "unclosed": '[a\nb = "',
        "twice": "keep = 1\nkeep = 2",
        "binary": b"\xff\xfe\0\1" * 30,
        "latin": 'device = "é"'.encode("latin-1"),
        "unknown": "thresold = 0.5",
        "nested": "[a.b.c]\nunknown = 1",
        "text": 'keep = "high"',
        "list_value": "keep = [0.5]",
        "table": "keep = {a = 1}",
        "truth": "patch_px = true",
        "nan": "keep = nan",
        "range": "keep = 7",
        "negative": "patch_px = -5",
        "huge_number": "patch_px = " + "9" * 400,
        "long_number": "patch_px = " + "9" * 5000,
        "choice": 'precision = "fp7"',
        "date": "keep = 2020-01-01",
        "deep": "a = " + "[" * SHALLOW + "]" * SHALLOW,
        "deep_key": ".".join("a" * SHALLOW) + " = 1",
        "deep_table": "a = " + "{a = " * SHALLOW + "1" + "}" * SHALLOW,
        "huge": "# comment\n" * 3_000_000,
        "trust": "allow_vrt = true",
        "trust_dashed": "allow-vrt = true",
        "again": 'config = "broken.toml"',
        "null": "keep = 0.5\0",
    }.items():
        # Values of the right type are judged as those of a flag are, which the line names.
        says = {"range": "--keep", "nan": "--keep", "negative": "--patch-px",
                "choice": "--precision"}.get(name)  # fmt: skip
        corpus.write(f"{name}.toml", text, CONFIG, 2, says=says)
    corpus.add("gone.toml", CONFIG, 2)
    (corpus.folder / "folder.toml").mkdir()
    corpus.add("folder.toml", CONFIG, 2)


def _manifests(corpus):
    head = "scene,labels"
    for name, text in {
        "empty.csv": b"",
        "head.csv": head,
        "binary.csv": b"\xff\xfe\0\1" * 30,
        "unknown.csv": f"{head},colour\ngood.tif,good_mask.tif,red",
        "twice.csv": f"{head},scene\ngood.tif,good_mask.tif,good.tif",
        "more.csv": f"{head}\ngood.tif,good_mask.tif,1,2",
        "fewer.csv": f"{head}\ngood.tif",
        "quote.csv": f'{head}\n"good.tif,good_mask.tif',
        "field.csv": f"{head}\n{'a' * 200_000},b",
        "number.csv": f"{head},weight\ngood.tif,good_mask.tif,heavy",
        "nan.csv": f"{head},weight\ngood.tif,good_mask.tif,nan",
        "huge.csv": f"{head},dem_band\ngood.tif,good_mask.tif,1e400",
        "split.csv": f"{head},split\ngood.tif,good_mask.tif,exam",
        "gone.csv": f"{head}\ngone.tif,good_mask.tif",
        "long.csv": f"{head}\n{'n' * 300}.tif,good_mask.tif",
        "null.csv": f"{head}\ngood\0.tif,good_mask.tif",
        "itself.csv": f"{head}\nitself.csv,itself.csv",
        "outside.csv": f"{head}\nup.tif,good_mask.tif",
        "elsewhere.csv": f"{head}\ngood.tif,map_no_crs.tif",
        "empty.jsonl": "",
        "broken.jsonl": '{"scene": "good.tif",',
        "list.jsonl": "[1]",
        "deep.jsonl": "[" * 100_000,
        "types.jsonl": '{"scene": 1, "labels": {"a": 2}}',
        "flag.jsonl": '{"scene": "good.tif", "labels": "good_mask.tif", "weight": true}',
        "number.jsonl": '{"scene": "good.tif", "labels": "good_mask.tif", "weight": ' + "9" * 5000
        + "}",
        "infinite.jsonl": '{"scene": "good.tif", "labels": "good_mask.tif", "scale": Infinity}',
    }.items():  # fmt: skip
        says = {"gone.csv": "gone.tif", "long.csv": "nnn", "null.csv": "good", "outside.csv": "up",
                "elsewhere.csv": "map_no_crs.tif"}.get(name)  # fmt: skip
        corpus.write(name, text, TRAIN, says=says)
    corpus.add("no_list.txt", TRAIN)
    corpus.add("nowhere.csv", TRAIN)


def _pairs(corpus):
    head = "prediction,truth"
    for name, text in {
        "pairs_empty.csv": b"",
        "pairs_head.csv": head,
        "pairs_binary.csv": b"\xff\0" * 50,
        "pairs_columns.csv": "a,b\n1,2",
        "pairs_semicolon.csv": "prediction;truth\na;b",
        "pairs_more.csv": f"{head}\na,b,c",
        "pairs_fewer.csv": f"{head}\na",
        "pairs_gone.csv": f"{head}\ngone.tif,good_mask.tif",
        "pairs_long.csv": f"{head}\n{'n' * 300}.tif,good_mask.tif",
        "pairs_null.csv": f"{head}\ngood\0.tif,good_mask.tif",
        "pairs_band.csv": f"{head},band\ngood_mask.tif,good_mask.tif,{'9' * 5000}",
        "pairs_share.csv": f"{head},threshold\ngood_mask.tif,good_mask.tif,nan",
        "pairs_field.csv": f"{head}\n{'a' * 200_000},b",
    }.items():
        says = {"pairs_gone.csv": "gone.tif", "pairs_long.csv": "nnn",
                "pairs_null.csv": "good"}.get(name)  # fmt: skip
        corpus.write(name, text, PAIRS, says=says)


def _array(shape, kind, data):
    """Return the bytes of an .npy file whose header says what it likes."""
    text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data


def _samples(corpus):
    entry = {"name": "../../evil", "roles": ["green"], "gsd_m": 10.0, "part": "train",
             "group": "all", "weight": 1.0, "about": {}}  # fmt: skip

    def packed(name, card, values=None, label=None, text=None):
        card = json.dumps(card).encode() if text is None else text
        values = _array((1, 2, 2), "<f2", bytes(8)) if values is None else values
        label = _array((2, 2), "|u1", bytes(4)) if label is None else label
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("card.npy", _array((len(card),), "|u1", card))
            archive.writestr("values_0.npy", values)
            archive.writestr("label_0.npy", label)
        corpus.write(f"{name}.npz", file.getvalue(), TRAIN)
        return file.getvalue()

    def card(**changes):
        return {"format": "glacierx samples 1", "about": {}, "samples": [{**entry, **changes}]}

    whole = packed("object", card(), values=_array((1, 2, 2), "|O", b"\x80\x04N." * 4))
    packed("large", card(), values=_array((10**6, 10**6, 10**3), "<f2", bytes(8)))
    packed("negative", card(), values=_array((-1, 2, 2), "<f2", bytes(8)))
    packed("short", card(), values=_array((1, 90, 90), "<f2", bytes(8)))
    packed("fields", card(), values=_array((1, 2, 2), "<f4", bytes(16)))
    packed("format", card() | {"format": "other"})
    packed("text", None, text=b"no card")
    packed("deep", None, text=b"[" * 100_000)
    packed("part", card(part="exam"))
    packed("gsd", card(gsd_m=-1))
    packed("weight", card(weight=float("nan")))
    packed("roles", card(roles=["green", "nir"]))
    packed("keys", {"format": "glacierx samples 1", "about": {}, "samples": [{}]})
    with zipfile.ZipFile(corpus.folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("values_0.npy", "w") as member:
            member.write(_array((1, 2**15, 2**14 + 2**13), "<f2", b""))
            for _ in range(1536):
                member.write(bytes(2**20))
    corpus.add("bomb.npz", TRAIN)
    for cut in (0, 10, len(whole) // 2):
        corpus.write(f"cut{cut}.npz", whole[:cut], TRAIN)
