# Logs in /var/log, rotated.
import logging
import logging.handlers
import os

os.makedirs("/var/log/app", exist_ok=True)
handler = logging.handlers.RotatingFileHandler("/var/log/app/app.log", maxBytes=200, backupCount=2)
handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
logger = logging.getLogger("app")
logger.propagate = False
logger.addHandler(handler)
logger.setLevel(logging.INFO)
for number in range(20):
    logger.info("request %d took %d ms", number, number * 3)
handler.close()
logger.removeHandler(handler)
print(sorted(os.listdir("/var/log/app")))
print(open("/var/log/app/app.log").read().splitlines()[-1])
