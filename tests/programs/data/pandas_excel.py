# needs: pandas openpyxl
# A workbook of two sheets.
import pandas as pd

with pd.ExcelWriter("/root/report.xlsx") as writer:
    pd.DataFrame({"month": ["Jan", "Feb"], "sales": [10, 12]}).to_excel(writer, sheet_name="sales", index=False)
    pd.DataFrame({"month": ["Jan", "Feb"], "costs": [7, 9]}).to_excel(writer, sheet_name="costs", index=False)
sheets = pd.read_excel("/root/report.xlsx", sheet_name=None)
print(list(sheets))
both = sheets["sales"].merge(sheets["costs"], on="month")
print((both["sales"] - both["costs"]).tolist())
