# Tables of text put together.
printf '1 Ada\n2 Grace\n3 Edsger\n' > /data/names
printf '3 blue\n1 red\n' > /data/teams
join <(sort /data/names) <(sort /data/teams)
comm -23 <(cut -d' ' -f1 /data/names | sort) <(cut -d' ' -f1 /data/teams | sort)
paste -d, /data/names <(seq 10 10 30)
sort -k2 /data/names | head -n 1 | tr '[:lower:]' '[:upper:]'
