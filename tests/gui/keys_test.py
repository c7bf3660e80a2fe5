"""Running a text with the keys and the mouse, from the field where one types."""
import json
import pathlib
import signal
import sys

from real_window import Window, wait_for, xdotool

program, source = sys.argv[1], pathlib.Path(sys.argv[2])
field, run_button = (200, 58), (40, 98)  # without a window manager


def runs_at_the_first_press():
    with Window(program, source / 'assets/d4-kappa') as window:
        window.click(*field)
        window.type('hello')
        for count, key in enumerate(['ctrl+Return', 'ctrl+KP_Enter', 'KP_Enter'], 1):
            window.key(key)
            wait_for(f'{count} traces after {key}', lambda: len(window.traces()) == count)
            window.settle()
        window.key('Return')  # where one types it is a line break
        window.type('you')
        window.settle()
        assert len(window.traces()) == 3, window.traces()
        session = window.quit()
        assert session['next_run']['text'] == 'hello\nyou', session['next_run']
        assert len(session['traces']) == 3, session['traces']


def a_quick_chord_is_a_chord():
    with Window(program) as window:
        for _ in range(3):
            window.key_in_one_frame('ctrl', 'equal')
        window.settle()
        window.quit()
        settings = json.loads((window.home / '.config/kappascope/settings.json').read_text())
        assert abs(settings['scale'] - 1.1 ** 3) < 1e-6, settings['scale']


def two_clicks_on_run_are_one_run():
    """The second must neither cancel nor run again, however quick the model is."""
    with Window(program, source / 'assets/d8-kappa', '-p', 'Once') as window:
        assert len(window.traces()) == 1
        text = (source / 'assets/texts/prose.txt').read_text()
        window.click(*field)
        window.key('ctrl+a')
        window.type(text[:60])
        for count in (2, 3):
            window.click(*run_button, times=2)
            wait_for('a trace', lambda: len(window.traces()) == count)
            window.settle()
            assert len(window.traces()) == count, window.traces()


def go_to_token(window, token):
    window.key('ctrl+g')
    window.settle()
    window.type(str(token))
    window.key('Return')
    window.settle()


def arrows_move_the_selected_cell():
    with Window(program, source / 'tests/figures/demo/trace.npz') as window:
        go_to_token(window, 10)
        window.click(600, 60)  # the heading of κ of each token
        window.key('Right', 'Right', 'Right', 'Up', 'plus', 'plus', 'Left')
        window.settle()
        session = window.quit()
        assert session['view']['token'] == 12, session['view']
        assert session['view']['row'] == 4, session['view']  # the middle one is 3
        assert session['view']['figure'] == 'kappa-tokens', session['view']


def words_are_found_in_the_text():
    with Window(program, source / 'tests/figures/demo/trace.npz') as window:
        go_to_token(window, 10)
        window.key('ctrl+f')
        window.settle()
        window.type('the')
        window.key('Return')
        window.settle()
        session = window.quit()
        assert session['view']['token'] == 38, session['view']


def what_is_typed_with_the_shortcut_reaches_the_field():
    """Letters that arrive in the very frame of Ctrl+F, and before the field has the focus."""
    with Window(program, source / 'tests/figures/demo/trace.npz') as window:
        go_to_token(window, 10)
        window.process.send_signal(signal.SIGSTOP)
        xdotool('key', 'ctrl+f')
        xdotool('type', '--delay', '5', 'the')
        window.process.send_signal(signal.SIGCONT)
        window.settle()
        assert window.quit()['view']['token'] == 26


for test in [runs_at_the_first_press, a_quick_chord_is_a_chord, two_clicks_on_run_are_one_run,
             arrows_move_the_selected_cell, words_are_found_in_the_text,
             what_is_typed_with_the_shortcut_reaches_the_field]:
    test()
    print(test.__name__, 'passed')
