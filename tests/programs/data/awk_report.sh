# Totals by a column.
cat > /data/sales.csv <<'CSV'
region,amount
north,120
south,80
north,99
west,10
CSV
awk -F, 'NR > 1 { total[$1] += $2 } END { for (region in total) print region, total[region] }' /data/sales.csv |
    sort -k2 -nr | tee /root/totals.txt
wc -l < /root/totals.txt
