"""Man pages and completions of the shell, made of what the program says of itself.

from_help.py PROGRAM SHARE      writes SHARE/man/man1, SHARE/bash-completion, SHARE/zsh, SHARE/fish
"""
import pathlib
import re
import subprocess
import sys

OPTION = re.compile(r'^  (-[^ ].*?)(?:  +(.*))?$')
NAME = re.compile(r'--[a-z][a-z-]*|(?<![\w-])-[a-zA-Z]\b')


def said(program, *words):
    return subprocess.run([program, *words], capture_output=True, text=True, check=True).stdout


def verbs_of(text):
    """{verb: what it does} of the program's --help."""
    return dict(re.findall(r'^  ([a-z]+)(?: \S+.*?)?  +(\S.*)$', text.split('VERB --help')[0], re.M))


def options_of(text):
    """[(names, what it is)] of a verb's --help."""
    found = []
    for line in text.splitlines():
        match = OPTION.match(line)
        if match:
            found.append((NAME.findall(match[1].split('=')[0]), match[2] or ''))
        elif found and line.startswith(' ' * 20) and not found[-1][1]:
            found[-1] = found[-1][0], line.strip()
    return [(names, what) for names, what in found if names]


def figures_of(program):
    """Ids of the figures: a wrong one is refused with a list of them."""
    refused = subprocess.run([program, 'plot', '-', '--figures', '?', '-o', '-'], capture_output=True, text=True).stderr
    return re.search(r'expected words of (\S+), found', refused)[1].split(',')


def escaped(text):
    text = text.replace('\\', '\\e').replace('-', '\\-')
    return '\n'.join('\\&' + line if line.startswith(('.', "'")) else line for line in text.splitlines())


def man_page(name, what, text, others):
    head = f'.TH "{name.upper()}" 1\n.SH NAME\n{escaped(name)} \\- {escaped(what)}\n'
    body = f'.SH DESCRIPTION\n.nf\n{escaped(text.rstrip())}\n.fi\n'
    see = ',\n'.join(f'.BR {escaped(other)} (1)' for other in others if other != name)
    return f'{head}{body}.SH SEE ALSO\n{see}\n'.replace(',\n.BR', '\n.BR')


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


LAYERS = ('--layers', '--layer')  # options whose value is layers, and those where it follows the @ or comes first
OF_LAYERS = ('--ablate', '--route', '--patch')


def paths_of(text):
    """What a verb is given, of its usage: 'model', 'trace', or '' for neither."""
    given = re.search(r'^Usage: .*\[OPTIONS\] ?\[?([A-Z]*)', text, re.M)
    return {'MODEL': 'model', 'RUN': 'model', 'PATH': 'trace', 'RESULT': 'trace'}.get(given[1] if given else '', '')


def scoped_of(text):
    """Options of a verb's --help whose value may end in @LAYERS."""
    return re.findall(r'^  (--[a-z-]+) \S*\[@LAYERS', text, re.M)


# Read by bash, by zsh through bashcompinit, and for fish by sh.
AT_HAND = r"""# Folders with a file of these names, here and three folders down.
_kappascope_folders() {
  timeout 1 find -L . -maxdepth 4 \( -name '.?*' -prune \) -o \( -name "$1" -o -name "$2" \) -printf '%h\n' 2>/dev/null |
    sed 's|^\./||' | sort -u
}

_kappascope_models() {
  _kappascope_folders 'model_*.pt' '*.safetensors'
  "$1" models --json 2>/dev/null | sed -n 's|^ *"open_as": "\(.*\)",*$|\1|p'
}

_kappascope_traces() { _kappascope_folders trace.npz stats.npz; }

# MoE layers of the first of the words that is a model, or that has the summary of a run or a corpus.
_kappascope_layers() {
  local program=$1 word found folder
  shift
  for word in "$@"; do
    case $word in -*) continue ;; esac
    folder=$word
    [ -d "$folder" ] || folder=${word%/*}
    found=$(cat "$folder/summary.json" "$folder/stats.json" 2>/dev/null |
      awk '/^  "layers":/ {moe = 1} /"layer":/ {if (moe) print $2 + 0}' | sort -nu)
    [ -n "$found" ] ||
      found=$("$program" info "$word" --json 2>/dev/null | awk '/"kind": "moe"/ {moe = 1} /"layer":/ {if (moe) print $2 + 0; moe = 0}')
    if [ -n "$found" ]; then echo "$found"; return; fi
  done
}
"""


def bash(options, figures, paths):
    verbs = ' '.join(verb for verb in options if verb)
    cases = '\n'.join(f'    {verb}) words={quoted(" ".join(name for names, _ in of for name in names))} ;;'
                      for verb, of in options.items() if verb)
    first = ' '.join(name for names, _ in options[''] for name in names)
    of_models, of_traces = ('|'.join(verb for verb, kind in paths.items() if kind == wanted) for wanted in ('model', 'trace'))
    return f"""# Completion of kappascope: verbs, options, figures, models, layers, and files. Of bash; zsh reads it by bashcompinit.
{AT_HAND}
_kappascope() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} program=${{COMP_WORDS[0]}} words head= candidate
  case $program in '~'*) program=$HOME${{program#'~'}} ;; esac
  COMPREPLY=()
  if [[ $before == --figures || $before == --view ]]; then
    words={quoted("all none " + " ".join(figures))}
    head=${{word%"${{word##*,}}"}}
  elif [[ $before == @ || $word == *@* || $before == @({"|".join(LAYERS + OF_LAYERS)}) && $word != *:* ]]; then
    words=$(_kappascope_layers "$program" "${{COMP_WORDS[@]:2}}")
    head=${{word%"${{word##*[@,-]}}"}}
    [[ $word != @ ]] || head=
  elif [[ $COMP_CWORD == 1 && $word != -* ]]; then
    words={quoted(verbs)}
  elif [[ $word == -* ]]; then
    case ${{COMP_WORDS[1]}} in
{cases}
    *) words={quoted(first)} ;;
    esac
  fi
  if [[ -n $words ]]; then
    COMPREPLY=($(compgen -P "$head" -W "$words" -- "${{word#"$head"}}"))
    [[ $word != @ ]] || COMPREPLY=($(compgen -W "$words"))
  fi
  [[ $word == -* || $before == @ || $word == *@* ]] && return
  [[ $before == --figures || $before == @({"|".join(LAYERS + OF_LAYERS)}) ]] && return
  if [[ $before != -* ]]; then
    case ${{COMP_WORDS[1]}} in
    {of_models}) words=$(_kappascope_models "$program") ;;
    {of_traces}) words=$(_kappascope_traces) ;;
    *) words= ;;
    esac
    while IFS= read -r candidate; do
      [[ -n $candidate && $candidate == "$word"* ]] && COMPREPLY+=("$candidate")
    done <<<"$words"
  fi
  COMPREPLY+=($(compgen -f -- "$word"))
}}
complete -o filenames -F _kappascope kappascope
"""


def zsh(options, figures, paths):
    """zsh reads the file at the first TAB: it has to answer that one, too."""
    return f"""#compdef kappascope
autoload -U +X bashcompinit && bashcompinit
{bash(options, figures, paths)}_bash_complete -o filenames -F _kappascope
"""


# The functions of bash are run by sh -c.
FISH_AT_HAND = r"""function __kappascope_at_hand
    set -l words (commandline -opc)
    sh -c $__kappascope_functions'"$@"' sh _kappascope_$argv[1] $words[1] $words[3..-1]
end

# Layers behind what is typed of 2-4,5 or 0.5@2-
function __kappascope_layers
    set -l head (string replace -r '[^@,-]*$' '' -- (commandline -ct))
    for layer in (__kappascope_at_hand layers)
        echo $head$layer
    end
end
"""


def fish(options, verbs, figures, paths, scoped):
    functions = AT_HAND.replace('\\', '\\\\').replace("'", "\\'")
    lines = ['# Completion of kappascope: verbs, options, figures, models and layers.',
             f"set -g __kappascope_functions '{functions}'", FISH_AT_HAND]
    for verb, what in verbs.items():
        lines.append(f'complete -c kappascope -n __fish_use_subcommand -a {verb} -d {quoted(what)}')
        if paths[verb]:
            lines.append(f"complete -c kappascope -n '__fish_seen_subcommand_from {verb}' -a '(__kappascope_at_hand {paths[verb]}s)'")
    for verb, of in options.items():
        where = f"-n '__fish_seen_subcommand_from {verb}'" if verb else '-n __fish_use_subcommand'
        for names, what in of:
            words = ' '.join(f'-l {name[2:]}' if name.startswith('--') else f'-s {name[1:]}' for name in names)
            values = f' -x -a {quoted("all none " + " ".join(figures))}' if '--figures' in names else ''
            if not {*LAYERS, *OF_LAYERS, *scoped}.isdisjoint(names):
                values = " -x -a '(__kappascope_layers)'"
            lines.append(f'complete -c kappascope {where} {words}{values} -d {quoted(what[:80])}')
    return '\n'.join(lines) + '\n'


def main():
    program, share = sys.argv[1], pathlib.Path(sys.argv[2])
    whole = said(program, '--help')
    verbs = verbs_of(whole)
    helps = {verb: said(program, verb, '--help') for verb in verbs}
    options = {'': options_of(whole), **{verb: options_of(text) for verb, text in helps.items()}}
    figures = figures_of(program)
    paths = {verb: paths_of(text) for verb, text in helps.items()}
    names = ['kappascope', *(f'kappascope-{verb}' for verb in verbs)]
    pages = {'kappascope': man_page('kappascope', 'mixture-of-experts checkpoints, per token, expert and layer', whole, names)}
    for verb, what in verbs.items():
        pages[f'kappascope-{verb}'] = man_page(f'kappascope-{verb}', what, helps[verb], names)
    files = {f'man/man1/{name}.1': page for name, page in pages.items()}
    files['bash-completion/completions/kappascope'] = bash(options, figures, paths)
    for folder in ('site-functions', 'vendor-completions'):  # of a prefix of one's own, and of Debian's packages
        files[f'zsh/{folder}/_kappascope'] = zsh(options, figures, paths)
    files['fish/vendor_completions.d/kappascope.fish'] = fish(options, verbs, figures, paths, scoped_of(helps['run']))
    for name, text in files.items():
        path = share / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == '__main__':
    main()
