# A server of the sandbox's own and a client of it.
import functools
import http.server
import json
import threading
import urllib.request

with open("/data/report.json", "w") as file:
    json.dump({"rows": 3}, file)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory="/data"))
thread = threading.Thread(target=server.serve_forever)
thread.start()
with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/report.json") as response:
    print(response.status, response.headers["Content-Type"], json.load(response))
urllib.request.urlretrieve(f"http://127.0.0.1:{server.server_port}/report.json", "/root/copy.json")
print(open("/root/copy.json").read())
server.shutdown()
thread.join()
server.server_close()
