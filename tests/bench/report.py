"""The result as Markdown, which is what stands in docs/PERFORMANCE.md, and as
a page with plots that needs nothing but a browser."""

import html

NAMES = {"file": "lighttpd, a small file", "hello": "hello, FastCGI",
         "calls": "two calls, FastCGI", "shape": "the whole shape, FastCGI",
         "tandem": "Tandem"}


# ---- cells -------------------------------------------------------------------

def ms(us):
    return f"{us / 1000:.2f}"


def ms_ranks(ranks):
    return " / ".join(ms(ranks[rank]) for rank in ("p50", "p95", "p99"))


def rate(told):
    value = told["per_second"]
    return f"{value['median']:,.0f} ({value['min']:,.0f}-{value['max']:,.0f})"


def ratio(told):
    return f"{told['median']:.2f} ({told['min']:.2f}-{told['max']:.2f})"


def of_shape(row, key):
    """Empty for the floor itself, and where it was not measured."""
    return ratio(row[key]) if key in row else ""


def mib(kb):
    return "-" if kb is None else f"{kb / 1024:.2f}"


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |"
                              for row in rows]) + "\n"


# ---- sections ----------------------------------------------------------------

def rates(data):
    rows = [(NAMES[row["what"]], row["ledger"], row["callers"], rate(row),
             of_shape(row, "of_shape"),
             ms_ranks(row["total_us"]), f"{row['cpu_us_all']:.0f}",
             row["load_busy"]) for row in data["rows"]]
    streams = [row for row in data["rows"] if row["what"] == "tandem"]
    cost = [(row["ledger"], row["callers"],
             *(f"{row['cpu_us'].get(role, 0):.0f}" for role in
               ("workers", "scribe", "database", "web server", "others")),
             row["commits_per_run"], row["entries_per_commit"],
             ms(row["commit_us"]), ms_ranks(row["final_to_done_us"]))
            for row in streams]
    bare = [(row["ledger"], row["runs_per_commit"],
             f"{row['commits_per_second']:,.0f}",
             f"{row['commits_per_second'] * row['runs_per_commit']:,.0f}")
            for row in data["commits"]]
    connections = ", ".join(f"{ledger}: {count}" for ledger, count in
                            data["database_connections"].items())
    return (table(("instant models", "ledger", "callers", "/s (min-max)",
                   "of the shape", "ms p50/p95/p99", "CPU us",
                   "load's CPU"), rows)
            + "\n" + table(("ledger", "callers", "workers us", "scribe us",
                            "database us", "web server us", "others us",
                            "commits/run", "entries/commit", "ms/commit",
                            "final to done ms"), cost)
            + "\n" + table(("bare commits", "runs in each", "commits/s",
                            "runs/s"), bare)
            + f"\nConnections to the ledger: {connections}.\n")


def latency(data):
    models = data["models"]
    rows = [(NAMES[row["what"]], row["ledger"], row["callers"], rate(row),
             of_shape(row, "of_shape"), row["errors"],
             ms_ranks(row["preliminary_added_us"]),
             ms_ranks(row["final_added_us"]),
             ms_ranks(row["final_to_done_us"]), ms_ranks(row["total_us"]),
             of_shape(row, "total_p99_of_shape"), f"{row['cpu_us_all']:.0f}")
            for row in data["rows"]]
    return table((f"models of {models['flash_ms']}/{models['pro_ms']} ms",
                  "ledger", "streams", "/s (min-max)", "of the shape",
                  "errors", "preliminary added ms", "final added ms",
                  "final to done ms", "whole stream ms", "p99 of the shape's",
                  "CPU us"), rows)


def memory_rows(told):
    return [(who.replace("_", " "), kb["processes"], mib(kb["pss"]),
             mib(kb["private"]), mib(kb["pss_sum"]))
            for who, kb in told.items() if who != "callers"]


MEMORY = ("processes", "PSS MiB each", "private MiB each", "PSS MiB in all")


def crowd(data):
    rows, memory = [], []
    for ledger, told in data.items():
        streams = told["streams"]
        rows.append((ledger, streams["callers"], rate(streams),
                     streams["errors"],
                     ms_ranks(streams["final_added_us"]),
                     ms_ranks(streams["final_to_done_us"]),
                     ms_ranks(told["health"]["total_us"])))
        memory += [(ledger, *row) for row in memory_rows(told["memory_kb"])]
    return (table(("ledger", "streams", "/s", "errors", "final added ms",
                   "final to done ms", "health ms"), rows)
            + "\n" + table(("ledger", "memory", *MEMORY), memory))


def tls(data):
    return (table(("memory", *MEMORY), memory_rows(data["memory_kb"]))
            + f"\nTLS connections: {data['connections']}; "
            f"{data['connections_again']} more for 2 s of streams afterwards; "
            f"{data['resumed']} sessions resumed.\n")


def settings(data):
    return table((f"8 callers, {data['ledger']}", "/s (min-max)",
                  "of as shipped", "CPU us"),
                 [(row["what"], rate(row), ratio(row["of_shipped"]),
                   f"{row['cpu_us_all']:.0f}") for row in data["rows"]])


def callers(data):
    return table(("16 callers", "/s", "ms p50/p95/p99", "errors"),
                 [(row["what"], rate(row), ms_ranks(row["total_us"]),
                   row["errors"]) for row in data["rows"]])


def sizes(data):
    rows = [(f"{row['answer_bytes']:,}", rate(row), ms_ranks(row["total_us"]),
             f"{row['cpu_us_all']:.0f}",
             f"{row['cpu_us_all'] * 1000 / row['answer_bytes'] / 2:.1f}")
            for row in data["rows"]]
    after = data["memory_after_kb"]
    return (table(("answer bytes, each of two", "/s", "ms p50/p95/p99",
                   "CPU us", "CPU ns/byte"), rows)
            + f"\nA worker afterwards: {mib(after['private'])} MiB private.\n")


def profile(data):
    if data is None:
        return "strace is not installed.\n"
    return "".join(
        f"{who}, {sum(data[who].values()):.1f} system calls for a run: "
        + ", ".join(f"{name} {count:g}" for name, count in data[who].items()
                    if count >= 0.05) + "\n\n"
        for who in ("worker", "scribe"))


def past(data):
    rows = [(row["ledger"], f"{row['entries']:,}", f"{row['bytes'] / 1e9:.2f}",
             f"{row['verify_seconds']:.1f}",
             f"{row['verify_entries_per_second']:,}",
             row["verify_cpu_us"]["tandemctl"],
             row["verify_cpu_us"]["database"], mib(row["verify_peak_kb"]),
             f"{row['start_seconds']:.2f}", ms_ranks(row["first_page_us"]))
            for row in data["rows"]]
    return table(("ledger", "entries", "GB", "verify s", "entries/s",
                  "tandemctl us/entry", "database us/entry", "tandemctl MiB",
                  "start s", "first page ms"), rows)


SECTIONS = {
    "rates": ("Rates", rates),
    "latency": ("Latency", latency),
    "crowd": ("A crowd", crowd),
    "tls": ("TLS to the models", tls),
    "settings": ("Settings", settings),
    "callers": ("Hard callers", callers),
    "sizes": ("Long answers", sizes),
    "profile": ("System calls", profile),
    "past": ("A long history", past),
}


def about(result):
    where = result["machine"]
    return (f"{where['cpus']} CPUs ({where['cpu_model']}), kernel "
            f"{where['kernel']}, load {where['load_before']:.1f} before; "
            f"{result['build']}; ledgers on {where['filesystem']}, fdatasync "
            f"of 4 KB there: p50 {ms(where['fdatasync_us']['p50'])} ms, "
            f"p99 {ms(where['fdatasync_us']['p99'])} ms.\n")


def markdown(result):
    parts = [about(result)]
    for name, (title, tell) in SECTIONS.items():
        if name in result["sections"]:
            parts.append(f"### {title}\n\n{tell(result['sections'][name])}")
    return "\n".join(parts)


# ---- plots -------------------------------------------------------------------

WIDTH, BAR, LABELS = 760, 20, 300


def bars(title, rows):
    """rows: (label, value, least, most); whiskers from least to most."""
    most = max((high for *_, high in rows), default=0) or 1
    scale = (WIDTH - LABELS - 90) / most
    lines = [f'<svg viewBox="0 0 {WIDTH} {len(rows) * (BAR + 6) + 6}" '
             f'role="img" aria-label="{html.escape(title)}">']
    for i, (label, value, low, high) in enumerate(rows):
        y = 6 + i * (BAR + 6)
        middle = y + BAR / 2
        lines.append(
            f'<text x="{LABELS - 8}" y="{middle + 4}" text-anchor="end">'
            f"{html.escape(label)}</text>"
            f'<rect x="{LABELS}" y="{y}" width="{value * scale:.1f}" '
            f'height="{BAR}"/>'
            f'<line x1="{LABELS + low * scale:.1f}" y1="{middle}" '
            f'x2="{LABELS + high * scale:.1f}" y2="{middle}"/>'
            f'<text x="{LABELS + high * scale + 6:.1f}" y="{middle + 4}">'
            f"{value:,.2f}</text>")
    return f"<h3>{html.escape(title)}</h3>" + "".join(lines) + "</svg>"


def label(row):
    return f"{NAMES[row['what']]}, {row['ledger']}, {row['callers']}"


def plots(result):
    sections = result["sections"]
    drawn = []
    if "rates" in sections:
        rows = sections["rates"]["rows"]
        drawn.append(bars("Answers a second, instant models", [
            (label(row), *(row["per_second"][key]
                           for key in ("median", "min", "max")))
            for row in rows if row["what"] != "file"]))
        drawn.append(bars("Processor time of an answer, us", [
            (label(row), *[row["cpu_us_all"]] * 3) for row in rows]))
    if "latency" in sections:
        for what, key in (("Pro's answer to `final`", "final_added_us"),
                          ("`final` to `done`", "final_to_done_us")):
            drawn.append(bars(f"{what}, ms by streams: p50 to p99", [
                (label(row), *(row[key][rank] / 1000
                               for rank in ("p50", "p50", "p99")))
                for row in sections["latency"]["rows"]]))
    for ledger, told in sections.get("crowd", {}).items():
        drawn.append(bars(f"Memory, MiB of PSS each, {ledger}", [
            (who.replace("_", " "), *[kb["pss"] / 1024] * 3)
            for who, kb in told["memory_kb"].items()
            if who != "callers" and kb["pss"] is not None]))
    return "".join(drawn)


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto;
       max-width: 70em; padding: 0 1em; color: #222; background: #fff }
svg { width: 100%; max-width: 60em } text { font-size: 12px; fill: #222 }
rect { fill: #7aa6c2 } line { stroke: #222; stroke-width: 2 }
table { border-collapse: collapse; margin: 1em 0 }
td, th { border-bottom: 1px solid #ccc; padding: .2em .6em;
         text-align: right } td:first-child, th:first-child { text-align: left }
"""


def html_of(text):
    """The little Markdown that markdown() makes."""
    lines, in_table = [], False
    for line in text.splitlines():
        if line.startswith("|---"):
            continue
        if line.startswith("| "):
            cell = "td" if in_table else "th"
            lines.append(("" if in_table else "<table>") + "<tr>" + "".join(
                f"<{cell}>{html.escape(part.strip())}</{cell}>"
                for part in line.strip("|").split("|")) + "</tr>")
            in_table = True
            continue
        if in_table:
            lines.append("</table>")
            in_table = False
        if line.startswith("### "):
            lines.append(f"<h2>{html.escape(line[4:])}</h2>")
        elif line:
            lines.append(f"<p>{html.escape(line)}</p>")
    return "\n".join(lines + ["</table>"] * in_table)


def page(result):
    return ("<!DOCTYPE html><html lang=en><meta charset=utf-8>"
            "<title>Tandem: performance</title>"
            f"<style>{STYLE}</style><h1>Tandem: performance</h1>"
            f"{plots(result)}{html_of(markdown(result))}</html>\n")
