#!/usr/bin/env python3
"""Compares two evaluations: prints a table, and draws the accuracy of every class as PNG, SVG and Vega-Lite JSON.

    figure.py --title TITLE --out FOLDER/NAME "cross-entropy=ce.json" "RIDE, 3 experts=ride-3.json"

The inputs are what `ride-evaluate --json` prints. Classes are ordered by their number of training images, and stand in
the paper's three splits: many (over 100 images), medium (20 to 100), few (under 20). Drawing needs vl-convert-python.
"""

import argparse
import json
import sys
from pathlib import Path

SPLITS = ("many", "medium", "few")
BASELINE_COLOUR, METHOD_COLOUR, INK = "#8d99ae", "#d1495b", "#51607a"
SHADES = {"many": "#f3f6fa", "medium": "#e6edf5", "few": "#d6e2ef"}
NEEDED = ("accuracy", *SPLITS, "per_class", "train_counts", "experts_used", "macs")


def split_of(count):
    return "many" if count > 100 else "medium" if count >= 20 else "few"


def read_evaluation(argument):
    """LABEL=FILE -> (label, evaluation), with what is wrong named."""
    label, separator, path = argument.partition("=")
    if not separator:
        sys.exit(f"figure.py: expected LABEL=FILE, got '{argument}'")
    try:
        evaluation = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        sys.exit(f"figure.py: can't read {path}: {error.strerror}")
    except ValueError as error:
        sys.exit(f"figure.py: {path} is not JSON ({error}); it should hold what ride-evaluate --json prints")
    # Metrics are printed with their splits in an object of their own; here they stand beside the total.
    for split, values in evaluation.get("splits", {}).items():
        evaluation.setdefault(split, values["accuracy"])
    if missing := [key for key in NEEDED if key not in evaluation]:
        sys.exit(f"figure.py: {path} lacks {', '.join(missing)}; it should hold what ride-evaluate --json prints")
    return label, evaluation


def percent(value):
    return "-" if value is None else f"{100 * value:.1f}"


def level(value):
    """Accuracy in percent, or None (which is not drawn) where no test image gave one."""
    return None if value is None else 100 * value


def table(evaluations):
    """The comparison as lines of text; accuracies in percent, multiply-accumulates per image in millions."""
    head = ["", "all", *SPLITS, "experts used", "MMACs"]
    rows = [[label, *(percent(e[key]) for key in ("accuracy", *SPLITS)), f"{e['experts_used']:.2f}",
             f"{e['macs'] / 1e6:.1f}"] for label, e in evaluations]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths)))
             for row in [head, *rows]]
    return "\n".join([lines[0].rstrip(), "-" * len(lines[0]), *lines[1:]])


def class_rows(evaluations):
    """One record per class, the most frequent first; `rank` is its place on the x axis."""
    (_, baseline), (_, method) = evaluations
    counts = baseline["train_counts"]
    names = baseline.get("class_names") or [str(c) for c in range(len(counts))]
    order = sorted(range(len(counts)), key=lambda c: (-counts[c], c))
    return [{"rank": rank, "name": names[c], "images": counts[c], "split": split_of(counts[c]),
             "baseline": level(baseline["per_class"][c]), "method": level(method["per_class"][c])}
            for rank, c in enumerate(order)]


def split_rows(rows, evaluations):
    """One record per split with its reach on the x axis; one per split and evaluation with its accuracy, the level."""
    spans, levels = [], []
    for split in SPLITS:
        ranks = [row["rank"] for row in rows if row["split"] == split]
        if not ranks:
            continue
        first, last = min(ranks), max(ranks)
        span = {"split": split, "from": first - 0.5, "to": last + 0.5, "middle": (first + last) / 2}
        spans.append(span)
        levels += [{**span, "model": label, "level": level(e[split])} for label, e in evaluations]
    return spans, levels


def specification(title, subtitle, evaluations):
    """The Vega-Lite description: a dumbbell per class over shaded splits, the training images per class below."""
    rows = class_rows(evaluations)
    spans, levels = split_rows(rows, evaluations)
    labels = [label for label, _ in evaluations]
    few_classes = len(rows) <= 20
    width = 760
    x_scale = {"domain": [-0.5, len(rows) - 0.5], "nice": False, "zero": False, "padding": 0}
    colour = {"field": "model", "type": "nominal", "title": None,
              "scale": {"domain": labels, "range": [BASELINE_COLOUR, METHOD_COLOUR]},
              "legend": {"orient": "top", "offset": 34, "symbolType": "circle", "symbolSize": 120, "labelFontSize": 13,
                         "labelColor": "#33415c", "columnPadding": 24}}

    def x(field="rank", axis=None):
        return {"field": field, "type": "quantitative", "scale": x_scale, "axis": axis, "title": None}

    y_axis = {"title": "accuracy on the test images (%)", "values": [0, 20, 40, 60, 80, 100], "grid": False,
              "domain": False, "ticks": False}

    def accuracy(field):
        return {"field": field, "type": "quantitative", "scale": {"domain": [0, 100]}, "axis": y_axis}

    dots = [{**row, "model": label, "value": row[key]}
            for label, key in zip(labels, ("baseline", "method")) for row in rows]
    top = {
        "width": width, "height": 300,
        "layer": [
            {"data": {"values": spans}, "mark": {"type": "rect", "opacity": 1},
             "encoding": {"x": x("from"), "x2": {"field": "to"},
                          "color": {"field": "split", "type": "nominal", "legend": None,
                                    "scale": {"domain": list(SHADES), "range": list(SHADES.values())}}}},
            {"data": {"values": [{"level": level} for level in (20, 40, 60, 80)]},
             "mark": {"type": "rule", "color": "white", "size": 1}, "encoding": {"y": accuracy("level")}},
            {"data": {"values": rows},
             "mark": {"type": "rule", "size": 2.5 if few_classes else 1.5, "color": "#b8bfca"},
             "encoding": {"x": x(), "y": accuracy("baseline"), "y2": {"field": "method"}}},
            {"data": {"values": levels}, "mark": {"type": "rule", "size": 1.6, "strokeDash": [5, 3], "opacity": 0.9},
             "encoding": {"x": x("from"), "x2": {"field": "to"}, "y": accuracy("level"),
                          "color": {**colour, "legend": None}}},
            {"data": {"values": dots}, "mark": {"type": "circle", "size": 150 if few_classes else 34, "opacity": 1},
             "encoding": {"x": x(), "y": accuracy("value"), "color": colour}},
            {"data": {"values": spans},
             "mark": {"type": "text", "dy": -9, "fontSize": 13, "fontWeight": "bold", "color": INK},
             "encoding": {"x": x("middle"), "y": {"value": 0}, "text": {"field": "split"}}},
        ],
        "resolve": {"scale": {"color": "independent"}},
    }
    bare = {"grid": False, "ticks": False, "domain": False, "labelPadding": 8}
    names = json.dumps([row["name"] for row in rows])
    if few_classes:
        class_axis = {**bare, "values": list(range(len(rows))), "labelExpr": f"{names}[datum.value]",
                      "labelOverlap": False}
    else:
        class_axis = {**bare, "values": list(range(0, len(rows), len(rows) // 10)),
                      "title": "class, most frequent first"}
    images = {"field": "images", "type": "quantitative", "scale": {"type": "symlog", "constant": 10, "nice": False},
              "axis": {"title": ["training", "images"], "values": [0] if few_classes else [0, 10, 100, 1000],
                       "grid": True, "gridColor": "#e3e8ef", "domain": False, "ticks": False}}
    bars = {"mark": {"type": "bar", "color": INK, "width": 0.6 * width / len(rows)},
            "encoding": {"x": x(axis=class_axis), "y": images}}
    counts = {"mark": {"type": "text", "dy": -8, "fontSize": 11, "color": INK},
              "encoding": {"x": x(axis=class_axis), "y": images, "text": {"field": "images", "format": ","}}}
    bottom = {"width": width, "height": 80, "data": {"values": rows},
              "layer": [bars, counts] if few_classes else [bars]}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white", "padding": 18,
        "title": {"text": title, "subtitle": subtitle, "anchor": "start", "fontSize": 18, "subtitleFontSize": 13,
                  "subtitleColor": INK, "offset": 18, "subtitlePadding": 6},
        "vconcat": [top, bottom], "spacing": 24 if few_classes else 12,
        "config": {"font": "Helvetica Neue, Arial, Liberation Sans, sans-serif", "view": {"stroke": None},
                   "axis": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal",
                            "titleColor": "#33415c", "labelColor": "#33415c", "titlePadding": 10}},
    }


def draw(spec, out):
    """Writes OUT.json, OUT.svg and OUT.png and returns their paths."""
    import vl_convert

    out.parent.mkdir(parents=True, exist_ok=True)
    paths = [out.with_name(out.name + suffix) for suffix in (".png", ".svg", ".json")]
    paths[0].write_bytes(vl_convert.vegalite_to_png(spec, scale=2))
    paths[1].write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")
    paths[2].write_text(json.dumps(spec, indent=1) + "\n", encoding="utf-8")
    return paths


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("baseline", metavar="LABEL=FILE")
    parser.add_argument("method", metavar="LABEL=FILE")
    parser.add_argument("--title", default="Accuracy of every class")
    parser.add_argument("--out", type=Path, required=True, help="path of the figure without its suffix")
    options = parser.parse_args()
    evaluations = [read_evaluation(options.baseline), read_evaluation(options.method)]
    if evaluations[0][1]["train_counts"] != evaluations[1][1]["train_counts"]:
        sys.exit("figure.py: the two evaluations are of models trained on different numbers of images per class")
    print(table(evaluations))
    subtitle = [f"{label}: {percent(e['accuracy'])} % of all test images right, "
                f"{percent(e['few'])} % in the few-shot classes" for label, e in evaluations]
    subtitle.append("Dots: one class each. Dashed lines: the mean of the classes in a split.")
    paths = draw(specification(options.title, subtitle, evaluations), options.out)
    print("\nfigure: " + ", ".join(str(path) for path in paths))


if __name__ == "__main__":
    main()
