# needs: git
# History: two commits, a branch, a merge.
set -e
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.com GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.com
git init --quiet --initial-branch main /root/repo
cd /root/repo
echo one > file && git add file && git commit --quiet -m first
git switch --quiet --create topic
echo two >> file && git commit --quiet -am second
git switch --quiet main
git merge --quiet topic
git log --format=%s
git status --short
git diff HEAD~1 --stat | tail -n 1
