# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Turns the documented subset of #cloud-config into calls of the functions in user_data, in the order in which they are
# to be made. What is not understood becomes a call of note. Lines are read by their indentation into paths like
# "users 1 name"; a block of text after | is one value.

function note(text) { notes = notes "note " quote(text) "\n" }

# Not with gsub: awks differ in what a backslash means there.
function quote(text,    result, at) {
  for (; at = index(text, "'"); text = substr(text, at + 1)) result = result substr(text, 1, at - 1) "'\\''"
  return "'" result text "'"
}

function indent_of(text) { match(text, /^ */); return RLENGTH }

# Contexts: one for each mapping or list that is open, with its indentation, its path, and the number of items so far.
function open_context(kind, indent, path) { depth++; kinds[depth] = kind; indents[depth] = indent; paths[depth] = path; items[depth] = 0 }

function beneath(path, name) { return path == "" ? name : path SUBSEP name }

function keep(path, value) { count++; kept_path[count] = path; kept_value[count] = value; kept_line[count] = block_line ? block_line : NR }

# The value of a scalar; understood is 0 when it is none of this subset.
function scalar(text,    quoted, rest) {
  understood = 1
  if (text ~ /^'/) {
    if (!match(text, /^'([^']|'')*'/)) { understood = 0; return "" }
    quoted = substr(text, 2, RLENGTH - 2); rest = substr(text, RLENGTH + 1)
    gsub(/''/, "'", quoted)
  } else if (text ~ /^"/) {
    if (!match(text, /^"([^"\\]|\\["\\nt])*"/)) { understood = 0; return "" }
    quoted = substr(text, 2, RLENGTH - 2); rest = substr(text, RLENGTH + 1)
    quoted = unescape(quoted)
  } else {
    if (text ~ /^[[{&*!%@`>|]/ || text ~ /^[^#]*: /) { understood = 0; return "" }
    sub(/[ \t]+#.*$/, "", text)
    sub(/[ \t]+$/, "", text)
    return text
  }
  if (rest !~ /^[ \t]*(#.*)?$/) understood = 0
  return quoted
}

function unescape(text,    result, char, at) {
  for (at = 1; at <= length(text); at++) {
    char = substr(text, at, 1)
    if (char == "\\") { char = substr(text, ++at, 1); char = char == "n" ? "\n" : char == "t" ? "\t" : char }
    result = result char
  }
  return result
}

# [a, "b c", d]: a list on one line.
function flow(path, text,    nth, piece, pieces) {
  sub(/[ \t]+#[^]"']*$/, "", text)
  sub(/[ \t]+$/, "", text)
  if (text !~ /\]$/) return 0
  text = substr(text, 2, length(text) - 2)
  for (nth = 1; text !~ /^[ \t]*$/; nth++) {
    sub(/^[ \t]+/, "", text)
    if (!match(text, /^("([^"\\]|\\["\\nt])*"|'([^']|'')*'|[^][{}"',#][^][{},#]*)[ \t]*/)) return 0
    piece = scalar(substr(text, 1, RLENGTH))
    if (!understood) return 0
    text = substr(text, RLENGTH + 1)
    if (text != "" && text !~ /^,/) return 0
    sub(/^,/, "", text)
    pieces[nth] = piece
  }
  for (nth = 1; nth in pieces; nth++) keep(path SUBSEP nth, pieces[nth])
  return 1
}

# A line that goes on with the value before it takes that value with it: half a value is a wrong one.
function not_understood() {
  note("line " NR " is not understood: " $0)
  if (scalar_before && depth > 0 && indent_of($0) > indents[depth]) {
    note("line " kept_line[count] " is not understood: it goes on in the next one")
    count--
    scalar_before = 0
  }
}

function begin_block(path, indent, style) { block = 1; block_path = path; block_parent = indent; block_style = style; block_indent = -1; block_text = ""; block_line = NR }

function end_block(    text) {
  text = block_text
  block = 0
  if (block_style !~ /\+/) sub(/\n+$/, "\n", text)
  if (block_style ~ /-/) sub(/\n+$/, "", text)
  if (block_style ~ /^>/) note("line " block_line " is not understood: folded text (>)")
  else keep(block_path, text)
  block_line = 0
}

function read_value(path, text, indent) {
  pending = ""
  scalar_before = 0
  if (text == "" || text ~ /^#/) { pending = path }
  else if (text ~ /^[|>][-+]?[ \t]*(#.*)?$/) { sub(/[ \t]*(#.*)?$/, "", text); begin_block(path, indent, text) }
  else if (text ~ /^\[/) { if (!flow(path, text)) not_understood() }
  else {
    text = scalar(text)
    if (understood) { keep(path, text); scalar_before = 1 }
    else not_understood()
  }
}

function read_entry(indent, text,    name) {
  while (depth > 0 && (indents[depth] > indent || (kinds[depth] == "list" && indents[depth] == indent))) depth--
  if (depth == 0 || indents[depth] < indent) {
    if (pending == "" && depth > 0) { not_understood(); return }
    open_context("map", indent, pending)
  }
  match(text, /^[A-Za-z0-9_.-]+:/)
  name = substr(text, 1, RLENGTH - 1)
  text = substr(text, RLENGTH + 1)
  sub(/^[ \t]+/, "", text)
  read_value(beneath(paths[depth], name), text, indent)
}

function read_item(indent, text,    offset, path) {
  while (depth > 0 && indents[depth] > indent) depth--
  if (depth == 0 || kinds[depth] == "map" || indents[depth] < indent) {
    if (pending == "") { not_understood(); return }
    open_context("list", indent, pending)
  }
  items[depth]++
  path = paths[depth] SUBSEP items[depth]
  match(text, /^-[ \t]*/)
  offset = RLENGTH
  text = substr(text, offset + 1)
  if (text ~ /^[A-Za-z0-9_.-]+:([ \t]|$)/) { pending = path; open_context("map", indent + offset, path); read_entry(indent + offset, text) }
  else if (text ~ /^-([ \t]|$)/) { pending = path; open_context("list", indent + offset, path); read_item(indent + offset, text) }
  else read_value(path, text, indent)
}

{ sub(/\r$/, "") }
block {
  if ($0 ~ /^[ ]*$/) { block_text = block_text substr($0, block_indent < 0 ? length($0) + 1 : block_indent + 1) "\n"; next }
  if (block_indent < 0 && indent_of($0) > block_parent) block_indent = indent_of($0)
  if (block_indent >= 0 && indent_of($0) >= block_indent) { block_text = block_text substr($0, block_indent + 1) "\n"; next }
  end_block()
}
/^[ \t]*(#.*)?$/ || /^---[ \t]*$/ { next }
/^ *\t/ { not_understood(); next }
{
  indent = indent_of($0)
  text = substr($0, indent + 1)
  if (text ~ /^-([ \t]|$)/) read_item(indent, text)
  else if (text ~ /^[A-Za-z0-9_.-]+:([ \t]|$)/) read_entry(indent, text)
  else not_understood()
}

# One pass for each kind of call, because their order in the file does not matter.
END {
  if (block) end_block()
  for (i = 1; i <= count; i++) collect(i)
  printf "%s%s%s", notes, hostname, users
  for (i = 1; i <= last_user; i++) finish_user(i)
  for (i = 1; i <= last_file; i++) finish_file(i)
  for (i = 1; i <= last_run; i++) if (i in runs) print "run" runs[i]
}

function ignored(i, why,    path) {
  path = kept_path[i]
  gsub(SUBSEP, " ", path)
  note("line " kept_line[i] ": " path " is ignored" why)
}

function collect(i,    part, parts, value) {
  parts = split(kept_path[i], part, SUBSEP)
  value = kept_value[i]
  if (part[1] == "hostname" && parts == 1) hostname = "set_hostname " quote(value) "\n"
  else if (part[1] == "ssh_authorized_keys" && parts == 2) users = users "authorize guest " quote(value) "\n"
  else if (part[1] == "users") collect_user(i, part, parts, value)
  else if (part[1] == "write_files" && parts == 3) collect_file(i, part[2] + 0, part[3], value)
  else if (part[1] == "runcmd" && (parts == 2 || parts == 3)) { runs[part[2] + 0] = runs[part[2] + 0] " " quote(value); last_run = part[2] + 0 }
  else if (part[1] ~ /^package/) ignored(i, ": this guest has no packages")
  else ignored(i, "")
}

function collect_user(i, part, parts, value) {
  last_user = part[2] + 0
  if (parts == 2) name[last_user] = value == "default" ? "guest" : value
  else if (part[3] == "name" && parts == 3) name[last_user] = value
  else if (part[3] == "ssh_authorized_keys" && parts == 4) keys[last_user] = keys[last_user] SUBSEP value
  else ignored(i, "")
}

function finish_user(user,    key, i, n) {
  if (!(user in name)) { print "note " quote("user " user " of users has no name"); return }
  print "add_user " quote(name[user])
  n = split(keys[user], key, SUBSEP)
  for (i = 2; i <= n; i++) print "authorize " quote(name[user]) " " quote(key[i])
}

function collect_file(i, file, field, value) {
  last_file = file
  if (field == "path") path_of[file] = value
  else if (field == "content") content[file] = value
  else if (field == "permissions") permissions[file] = value
  else if (field == "owner") owner[file] = value
  else if (field == "encoding" && value == "text/plain") return
  else refused[file] = field
}

function finish_file(file) {
  if (file in refused) print "note " quote("file " path_of[file] " is not written: " refused[file] " is not understood")
  else if (!(file in path_of)) print "note " quote("file " file " of write_files has no path")
  else print "write_file " quote(path_of[file]) " " quote(file in permissions ? permissions[file] : "0644") " " quote(file in owner ? owner[file] : "root:root") " " quote(content[file])
}
