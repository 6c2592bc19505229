#!/usr/bin/env bash
# Checks Go and Markdown files: lines of at most 120 columns (rows of Markdown tables and generated parts of Markdown
# files may be longer), no banned words (in template.yaml, Makefile and scripts, too), no comments of the form "X is
# what/how/who ...", and test names of the form TestSubject or TestSubject_Case. Prints each violation as file:line: text,
# and exits with 1 if there is one. Usage: plain-words.sh [PATH...]; without paths it reads every file that git knows.
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"
export LC_ALL=C.UTF-8
files() { # pattern of names, path...
  git ls-files --cached --others --exclude-standard -- "${@:2}" | grep -E "$1" | while IFS= read -r file; do
    [ ! -e "$file" ] || echo "$file" # a deleted file is in the index until the next commit
  done
}
mapfile -t go < <(files '\.go$' "${@:-.}")
mapfile -t md < <(files '\.md$' "${@:-.}")
mapfile -t other < <(files '^(template\.yaml|Makefile)$|^(\.ci|\.github|examples)/' "${@:-.}")
found=0
report() { # what, lines
  [ -n "$2" ] || return 0
  printf '%s:\n%s\n' "$1" "$2"
  found=1
}
search() { grep -HnE "$@" /dev/null || test $? -eq 1; }
long_markdown() {
  for file in "${md[@]}"; do
    sed '/<!-- generated -->/,/<!-- \/generated -->/s/.*//' "$file" | grep -HnE --label="$file" '^[^|].{120}' || test $? -eq 1
  done
}

report "more than 120 columns" "$({ search '^.{121}' "${go[@]}"; long_markdown; } | cut -c1-160)"
# The list stands in two halves so that the check does not find itself.
banned='who''ever|what''ever|who''m|no''body|some''body|any''body|every''body|be''falls?|sh''all'
banned+='|tells wheth''er|of no acc''ount|for want'' of|is to''ld'
report "banned words" "$(search -iw "$banned" "${go[@]}" "${md[@]}" "${other[@]}" | grep -v 'http\.NoBo''dy' | sort -u | cut -c1-160)"
report "a comment must say what a thing is or does, without \"is what/how/who\"" \
  "$(search '^[[:space:]]*// [A-Za-z]+ (is|are) (what|who|how|why|when|where)\b' "${go[@]}" | cut -c1-160)"

# A subject has at most four words and a case at most six, and neither is a sentence.
report "test names must be TestSubject or TestSubject_Case" "$(
  search -o '^func (Test|Fuzz|Benchmark)[A-Za-z0-9_]*' "${go[@]}" | grep '_test\.go:' | awk -F: '
    { name = $3; sub(/^func (Test|Fuzz|Benchmark)/, "", name); bad = 0
      count = split(name, parts, "_")
      for (i = 1; i <= count; i++) {
        part = parts[i]; words = gsub(/[A-Z][a-z]+|[A-Z]+/, " &", part)
        if (i == 1 && words > 4 || words > 6) bad = 1
        if ((part " ") ~ / (The|A|An|What|Who|Whose|It|Is|Are|Was|Were|That|Which|Does|Has|Have|May|Can|Says) /) bad = 1
      }
      if (count > 2 || length(name) > 60 || bad) print }')"
exit $found
