// Files, forks, terminals and control calls with node's fetch; the first argument is the emulator's URL.
const url = process.argv[2];

async function post(path, body = {}) {
  const answer = await fetch(url + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}

// A stream is one JSON object a line; only "\n" ends a line.
async function* lines(answer) {
  let rest = "";
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

async function run(sandbox, code, language = "python") {
  const result = { stdout: [], stderr: [] };
  for await (const event of lines(await post(`/v1/sandboxes/${sandbox}/exec`, { code, language }))) {
    if (event.type === "exit") return { ...result, exitCode: event.data };
    result[event.type].push(event.data);
  }
  throw new Error("the stream ended before the code did");
}

// The API has no call for files: they travel in the code, as with every client.
async function upload(sandbox, data, path) {
  const text = Buffer.from(data).toString("base64");
  const code = `import base64; open(${JSON.stringify(path)}, "wb").write(base64.b64decode("${text}"))`;
  if ((await run(sandbox, code)).exitCode !== 0) throw new Error(`${path} cannot be written`);
}

async function download(sandbox, path) {
  const code = `import base64; print(base64.b64encode(open(${JSON.stringify(path)}, "rb").read()).decode())`;
  const { stdout, stderr, exitCode } = await run(sandbox, code);
  if (exitCode !== 0) throw new Error(stderr.join("\n"));
  return Buffer.from(stdout[0], "base64");
}

async function hashes(sandbox) {
  const { stdout } = await run(sandbox, "find /root /tmp -type f -exec sha256sum {} +", "bash");
  return new Map(stdout.map((line) => [line.slice(66), line.slice(0, 64)]));
}

async function diff(one, other) {
  const [before, after] = await Promise.all([hashes(one), hashes(other)]);
  return {
    added: [...after.keys()].filter((path) => !before.has(path)).sort(),
    removed: [...before.keys()].filter((path) => !after.has(path)).sort(),
    modified: [...after.keys()].filter((path) => before.has(path) && before.get(path) !== after.get(path)).sort(),
  };
}

await post("/_emulator/add_stub", { pattern: "pip install", language: "bash", stdout: "Done" });

const { id } = await (await post("/v1/sandboxes")).json();
await upload(id, "day,price\n1,9.5\n", "/root/prices.csv");
console.log((await download(id, "/root/prices.csv")).toString());
console.log((await run(id, "pip install prophet", "bash")).stdout);

const { children } = await (await post(`/v1/sandboxes/${id}/fork`, { n: 1 })).json();
await run(children[0], "echo 2,9.7 >> /root/prices.csv; touch /root/new.txt", "bash");
console.log(await diff(id, children[0]));

const terminals = `/v1/sandboxes/${id}/pty`;
let shown = "";
for await (const event of lines(await post(terminals, { shellCmd: "read name; echo hello $name" }))) {
  if (event.type === "pty_ready") {
    const typed = { data_b64: Buffer.from("Ada\r").toString("base64") };
    await post(`${terminals}/${event.session_id}/input`, typed);
  }
  if (event.type === "pty_data") shown += Buffer.from(event.data_b64, "base64");
  if (event.type === "pty_exit") console.log(shown, event.data);
}

const { result } = await (await post("/_emulator/execs")).json();
console.log(result.map((exec) => exec.stub).filter(Boolean));
await post("/_emulator/reset");
