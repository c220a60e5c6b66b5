# What check and operations share: three regions from the compose files, a key for them, and a load that goes on while something
# happens. To be sourced, with `files` set to compose's -f options; a step is a function that does the work, run by `steps`.

python() { python3 "compose/${checks:-checks}.py" "$@"; }
compose() { docker compose "${files[@]}" "$@"; }
# Starts what is not there, and leaves what is.
up() { compose up -d --wait --no-recreate "$@"; }
container() { compose ps -q "$1" | head -1; }
containers() { compose ps -q "$1"; }
die() { echo "$0: $*" >&2; exit 1; }

going=
finish() {
  local status=$?
  [ $status = 0 ] || compose ps >&2 || true
  [ -z "$going" ] || rm -f "$going"
  wait
  if [ "$keep" != --keep ]; then away; fi
  exit $status
}
away() { compose down --volumes --remove-orphans --timeout 20 > /dev/null 2>&1 || true; }

secret() { compose run --rm --no-deps --entrypoint cat secrets "/run/secrets/tradewind/$1" 2> /dev/null; }
# use_key: the access key in a shared credentials file from standard input is what is signed with from now on.
use_key() {
  local text; text=$(cat)
  export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
  AWS_ACCESS_KEY_ID=$(sed -n 's/^aws_access_key_id = //p' <<< "$text")
  AWS_SECRET_ACCESS_KEY=$(sed -n 's/^aws_secret_access_key = //p' <<< "$text")
  [ -n "$AWS_SECRET_ACCESS_KEY" ] || die 'no access key'
}

# The command line's tools, on a storage node.
tool() { compose exec -T -e AWS_ACCESS_KEY_ID -e AWS_SECRET_ACCESS_KEY "${node:-storage.us-east-1}" tradewind "$@"; }

# under_load [OPTION…] -- COMMAND…: while regions are written; `--strict`: no request may fail.
under_load() {
  local options=() load
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  going=$(mktemp)
  python load "$going" "${options[@]}" &
  load=$!
  until [ -s "$going" ]; do
    kill -0 $load || die 'the load ended before anything was done'
    sleep 0.2
  done
  "$@"
  rm "$going"
  going=
  wait $load
}

# steps NAME…: runs these functions one after another, each with its time; `about_NAME` says what it shows.
steps() {
  local name since
  for name in "$@"; do
    since=$SECONDS
    printf '\n== %s\n' "$name: $(declare -F "about_$name" > /dev/null && "about_$name")"
    "$name"
    printf -- '-- %s took %d s\n' "$name" $((SECONDS - since))
  done
}
