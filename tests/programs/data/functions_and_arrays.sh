# The language itself.
set -u
declare -A price=([tea]=3 [coffee]=4)
order=(tea coffee tea)
total() {
    local sum=0 item
    for item in "$@"; do sum=$((sum + price[$item])); done
    echo "$sum"
}
echo "total: $(total "${order[@]}")"
for item in "${!price[@]}"; do echo "$item"; done | sort
text="report-2024-03.csv"
echo "${text%.csv} ${text#report-} ${text//-/_} ${#text} ${text^^}"
[[ $text =~ ([0-9]{4})-([0-9]{2}) ]] && echo "${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
case $text in *.csv) echo table ;; *) echo other ;; esac
trap 'echo "leaving with $?"' EXIT
(exit 3) || echo "a subshell ended with $?"
printf '%s\n' a{1..3} | while read -r name; do printf '%s;' "$name"; done
echo
