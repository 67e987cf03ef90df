from podflare import Sandbox

with Sandbox() as parent:
    parent.run_code("data = list(range(10))")
    children = parent.fork(n=2)
    results = [
        child.run_code(f"data.append({guess}); print(sum(data))")
        for child, guess in zip(children, (1, 2), strict=True)
    ]
    print(results[1].stdout)  # 47
    print(parent.diff(children[0]))  # {'added': [], 'removed': [], 'modified': []}
    parent.merge_into(children[0])  # parent now has what the first child has
    children[1].close()
