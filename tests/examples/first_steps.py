from podflare import Sandbox

with Sandbox() as parent:
    parent.run_code("x = 1")
    left, right = parent.fork(n=2)
    left.run_code("x += 1; open('/root/left.txt', 'w').write('from the left')")
    print(left.run_code("print(x)").stdout)  # 2
    print(right.run_code("print(x)").stdout)  # 1
    print(right.diff(left))  # {'added': ['/root/left.txt'], 'removed': [], 'modified': []}
    parent.merge_into(left)
    print(parent.run_code("print(x)").stdout)  # 2
    right.close()
