# Directories and files by pathlib: make, move, walk, link, remove.
from pathlib import Path

root = Path("/workspace/project")
for name in ("src/a.py", "src/deep/b.py", "docs/index.md", "notes.txt"):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# {name}\n")
(root / "notes.txt").rename(root / "docs" / "notes.txt")
(root / "latest").symlink_to("docs/index.md")
print([str(path.relative_to(root)) for path in sorted(root.rglob("*.py"))])
print((root / "latest").read_text().strip(), (root / "latest").resolve())
print(sorted(path.name for path in (root / "docs").iterdir()))
(root / "src/deep/b.py").unlink()
(root / "src/deep").rmdir()
print([path.as_posix() for path in sorted(root.glob("**/*")) if path.is_file()])
print((root / "docs/index.md").stat().st_size, Path("~").expanduser(), Path.cwd())
