"""Has something become slower?  Ratios of this run against those committed.

A ratio to the floor of the same run says the same on any machine, roughly: so
only what is worse by more than ALLOWED counts.
"""

ALLOWED = 0.25
MORE_IS_BETTER = {"rate, of the floor's"}


def worse_by(name, was, now):
    """0.25: a quarter worse; negative: better."""
    if name in MORE_IS_BETTER:
        return was / now - 1
    return now / was - 1


def compare(baseline, ratios):
    """[(name, before, now, worse by, whether that is too much)]; names that
    only one side knows have None on the other and count for nothing."""
    told = []
    for name in sorted({*baseline, *ratios}):
        was, now = baseline.get(name), ratios.get(name)
        if was is None or now is None:
            told.append((name, was, now, None, False))
            continue
        worse = worse_by(name, was, now)
        told.append((name, was, now, worse, worse > ALLOWED))
    return told


def number(value):
    return "-" if value is None else f"{value:.3f}"


def table(told):
    lines = [f"{'':<46}{'baseline':>10}{'now':>10}{'worse by':>10}"]
    for name, was, now, worse, too_much in told:
        change = "" if worse is None else f"{worse * 100:+.0f} %"
        mark = "   TOO MUCH" if too_much else ""
        lines.append(f"{name:<46}{number(was):>10}{number(now):>10}"
                     f"{change:>10}{mark}")
    return "\n".join(lines)


def has_failed(told):
    return any(too_much for *_, too_much in told)
