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


def bash(options, figures):
    verbs = ' '.join(verb for verb in options if verb)
    cases = '\n'.join(f'    {verb}) words={quoted(" ".join(name for names, _ in of for name in names))} ;;'
                      for verb, of in options.items() if verb)
    first = ' '.join(name for names, _ in options[''] for name in names)
    return f'''# Completion of kappascope: verbs, options, figures, and files. Of bash; zsh reads it by bashcompinit.
_kappascope() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words
  if [[ $before == --figures || $before == --view ]]; then
    words={quoted("all none " + " ".join(figures))}
  elif [[ $COMP_CWORD == 1 && $word != -* ]]; then
    words={quoted(verbs)}
  elif [[ $word == -* ]]; then
    case ${{COMP_WORDS[1]}} in
{cases}
    *) words={quoted(first)} ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  [[ $word == -* ]] || COMPREPLY+=($(compgen -f -- "$word"))
}}
complete -o filenames -F _kappascope kappascope
'''


def fish(options, verbs, figures):
    lines = ['# Completion of kappascope: verbs and options.']
    for verb, what in verbs.items():
        lines.append(f'complete -c kappascope -n __fish_use_subcommand -a {verb} -d {quoted(what)}')
    for verb, of in options.items():
        where = f"-n '__fish_seen_subcommand_from {verb}'" if verb else '-n __fish_use_subcommand'
        for names, what in of:
            words = ' '.join(f'-l {name[2:]}' if name.startswith('--') else f'-s {name[1:]}' for name in names)
            values = f' -x -a {quoted("all none " + " ".join(figures))}' if '--figures' in names else ''
            lines.append(f'complete -c kappascope {where} {words}{values} -d {quoted(what[:80])}')
    return '\n'.join(lines) + '\n'


def main():
    program, share = sys.argv[1], pathlib.Path(sys.argv[2])
    whole = said(program, '--help')
    verbs = verbs_of(whole)
    helps = {verb: said(program, verb, '--help') for verb in verbs}
    options = {'': options_of(whole), **{verb: options_of(text) for verb, text in helps.items()}}
    figures = figures_of(program)
    names = ['kappascope', *(f'kappascope-{verb}' for verb in verbs)]
    pages = {'kappascope': man_page('kappascope', 'mixture-of-experts checkpoints, per token, expert and layer', whole, names)}
    for verb, what in verbs.items():
        pages[f'kappascope-{verb}'] = man_page(f'kappascope-{verb}', what, helps[verb], names)
    files = {f'man/man1/{name}.1': page for name, page in pages.items()}
    files['bash-completion/completions/kappascope'] = bash(options, figures)
    for folder in ('site-functions', 'vendor-completions'):  # of a prefix of one's own, and of Debian's packages
        files[f'zsh/{folder}/_kappascope'] = f'#compdef kappascope\nautoload -U +X bashcompinit && bashcompinit\n{bash(options, figures)}'
    files['fish/vendor_completions.d/kappascope.fish'] = fish(options, verbs, figures)
    for name, text in files.items():
        path = share / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == '__main__':
    main()
