#!/usr/bin/python3
"""Write docs/tandem.conf.5 from what `tandemd --sample-config` says.

usage: make_conf_manual.py <conf/tandem.conf >docs/tandem.conf.5
"""
import sys

HEAD = """\
.\\" Made by docs/make_conf_manual.py from the option table; `make docs`.
.Dd November 21, 2026
.Dt TANDEM.CONF 5
.Os
.Sh NAME
.Nm tandem.conf
.Nd settings of tandemd
.Sh DESCRIPTION
.Xr tandemd 8
takes its settings from the environment and from a file of
.Ar KEY Ns = Ns Ar value
lines named with
.Fl c ;
the environment wins.
The file is also fit for systemd's
.Cm EnvironmentFile .
Blank lines and lines that begin with
.Sq #
are skipped; a value may stand in single or double quotes.
An unknown or repeated key, or a value outside its bounds, stops the start
with the file, the line and the reason.
.Pp
On
.Dv SIGHUP
the file is read again.
A broken file changes nothing and is logged; so is a change of an option
that needs a restart.
.Sh OPTIONS
.Bl -tag -width Ds
"""

TAIL = """\
.El
.Sh SEE ALSO
.Xr tandemctl 1 ,
.Xr tandemd 8
"""


def escape(text):
    text = text.replace("\\", "\\e")
    return "\\&" + text if text[:1] in ".'" else text


def sentences(text):
    """mdoc wants each sentence on a line of its own."""
    return escape(text).replace("; ", ";\n")


def main():
    comment = []
    sys.stdout.write(HEAD)
    for line in sys.stdin:
        line = line.rstrip("\n")
        if line.startswith("# "):
            comment.append(line[2:])
        elif line.startswith("#"):
            name, default = line[1:].split("=", 1)
            shown = f"Ns = Ns {escape(default)}" if default else "Ns ="
            print(f".It Ev {name} {shown}")
            print(sentences(comment[0]) + ".")
            for extra in comment[1:]:
                print(escape(extra) + ".")
        else:
            comment = []
    sys.stdout.write(TAIL)


main()
