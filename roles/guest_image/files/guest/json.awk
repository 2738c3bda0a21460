# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Prints the values of one name of a JSON object: wanted=uuid, or all beneath a name: wanted=public_keys.*

function fail(what) { print "json: " what " at character " at > "/dev/stderr"; exit 1 }

function skip_space() { while (at <= length(text) && index(" \t\r\n", substr(text, at, 1))) at++ }

function string(    value, char) {
  for (at++; at <= length(text); at++) {
    char = substr(text, at, 1)
    if (char == "\"") { at++; return value }
    if (char == "\\") {
      char = substr(text, ++at, 1)
      if (char == "u") { value = value "?"; at += 4; continue }
      char = char == "n" ? "\n" : char == "t" ? "\t" : char == "r" ? "\r" : char == "b" || char == "f" ? " " : char
    }
    value = value char
  }
  fail("a string without end")
}

function found(path, value) {
  if (path == wanted || (wanted ~ /\.\*$/ && index(path, substr(wanted, 1, length(wanted) - 1)) == 1)) print value
}

function object(path,    name) {
  for (at++; ; at++) {
    skip_space()
    if (substr(text, at, 1) == "}") { at++; return }
    if (substr(text, at, 1) != "\"") fail("no name")
    name = string()
    skip_space()
    if (substr(text, at, 1) != ":") fail("no colon")
    at++
    any(path == "" ? name : path "." name)
    skip_space()
    if (substr(text, at, 1) == "}") { at++; return }
    if (substr(text, at, 1) != ",") fail("no comma")
  }
}

function array(path,    item) {
  for (at++; ; at++) {
    skip_space()
    if (substr(text, at, 1) == "]") { at++; return }
    any(path "." item++)
    skip_space()
    if (substr(text, at, 1) == "]") { at++; return }
    if (substr(text, at, 1) != ",") fail("no comma")
  }
}

function any(path,    char) {
  skip_space()
  char = substr(text, at, 1)
  if (char == "{") object(path)
  else if (char == "[") array(path)
  else if (char == "\"") found(path, string())
  else if (match(substr(text, at), /^[-+.0-9a-zA-Z]+/)) { found(path, substr(text, at, RLENGTH)); at += RLENGTH }
  else fail("no value")
}

{ text = text $0 "\n" }
END { at = 1; any("") }
