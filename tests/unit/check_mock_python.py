"""Runs every Python text that the mock model knows, and checks what it returns.

usage: check_mock_python.py path-of-test_model_mock
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest.mock
import urllib.request
from contextlib import redirect_stdout


def raises(error, function, *arguments):
    try:
        function(*arguments)
    except error:
        return True
    return False


def check_http_server(n):
    server = n["make_server"](0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = "http://127.0.0.1:%d" % server.server_address[1]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert json.load(opener.open(url + "/health")) == {"status": "ok"}
        assert raises(urllib.error.HTTPError, opener.open, url + "/nothing")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def check_login(n):
    salt, digest = n["hash_password"]("correct horse")
    assert b"correct" not in digest
    users = {"ann": (salt, digest)}
    assert n["login"](users, "ann", "correct horse")
    assert not n["login"](users, "ann", "wrong")
    assert not n["login"](users, "bob", "correct horse")
    assert n["hash_password"]("x")[0] != n["hash_password"]("x")[0]


def with_file(text, check):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        check(path)


def check_read_csv(n):
    def check(path):
        assert n["read_csv"](path) == [{"a": "1", "b": "x,y"}]

    with_file('a,b\n1,"x,y"\n', check)


def check_read_json(n):
    with_file('{"a": 1}', lambda path: equal(n["read_json"](path), {"a": 1}))
    with_file("{", lambda path: true(raises(ValueError, n["read_json"], path)))


def check_read_lines(n):
    with_file("a\nb\n", lambda path: equal(n["read_lines"](path), ["a", "b"]))


def equal(left, right):
    assert left == right, (left, right)


def true(value):
    assert value


def check_sort(n, name):
    sort = n[name]
    for items in ([], [1], [3, 1, 2], [2, 2, 1], list(range(50, 0, -1)), ["b", "a"]):
        given = list(items)
        equal(sort(given), sorted(items))
        equal(given, list(items))


def check_structures(n, cls, put, take, order):
    box = n[cls]()
    for item in (1, 2, 3):
        getattr(box, put)(item)
    equal(len(box), 3)
    equal([getattr(box, take)() for _ in range(3)], order)
    true(raises(IndexError, getattr(box, take)))


def check_linked_list(n):
    items = n["LinkedList"]([1, 2, 3])
    equal(list(items), [1, 2, 3])
    items.reverse()
    items.append(0)
    equal(list(items), [3, 2, 1, 0])
    equal(list(n["LinkedList"]()), [])


def check_tree(n):
    node = n["TreeNode"]
    root = node(2, node(1), node(3))
    equal(n["inorder"](root), [1, 2, 3])
    equal(n["preorder"](root), [2, 1, 3])
    equal(n["postorder"](root), [1, 3, 2])
    equal(n["inorder"](None), [])


def check_search_tree(n):
    tree = n["BinarySearchTree"]()
    true(not tree.contains(1))
    for value in (5, 2, 8, 2, 9):
        tree.insert(value)
    true(all(tree.contains(value) for value in (5, 2, 8, 9)))
    true(not any(tree.contains(value) for value in (1, 6, 10)))


def check_priority_queue(n):
    queue = n["PriorityQueue"]()
    for priority, item in ((2, "b"), (1, "a"), (2, "c")):
        queue.push(priority, item)
    equal([queue.pop() for _ in range(3)], ["a", "b", "c"])


def check_lru(n):
    cache = n["LRUCache"](2)
    cache.put("a", 1)
    cache.put("b", 2)
    equal(cache.get("a"), 1)
    cache.put("c", 3)
    equal((cache.get("a"), cache.get("b"), cache.get("c")), (1, None, 3))
    true(raises(ValueError, n["LRUCache"], 0))


def check_retry(n):
    calls = []

    @n["retry"](attempts=3, first_delay=0)
    def flaky():
        calls.append(1)
        if len(calls) < 3:
            raise OSError("not yet")
        return "done"

    equal(flaky(), "done")
    equal(len(calls), 3)


def check_timer(n):
    function = n["timed"](lambda x: x + 1)
    equal(function(1), 2)
    true(function.seconds >= 0)


def check_memoize(n):
    calls = []
    function = n["memoize"](lambda x: calls.append(x) or x * 2)
    equal([function(2), function(2), function(3)], [4, 4, 6])
    equal(calls, [2, 3])


def check_account(n):
    account = n["BankAccount"]("Ann", 100)
    account.deposit(50)
    account.withdraw(120)
    equal(account.balance, 30)
    true(raises(ValueError, account.withdraw, 31))


def check_sqlite(n):
    connection = n["open_database"]()
    equal(n["add_note"](connection, "x'); DROP TABLE notes;--"), 1)
    equal(n["add_note"](connection, "y"), 2)
    connection.close()


def check_guess(n):
    equal([n["guess_hint"](5, guess) for guess in (4, 6, 5)], ["too low", "too high", "correct"])
    with unittest.mock.patch("random.randint", return_value=7), redirect_stdout(io.StringIO()):
        with unittest.mock.patch("builtins.input", side_effect=["3", "9", "7"]):
            equal(n["play"](), 3)


def check_hello(n):
    out = io.StringIO()
    with redirect_stdout(out):
        equal(n["hello_world"](), "Hello World")
    equal(out.getvalue(), "Hello World\n")


GRAPH = {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}


def check_dijkstra(n):
    graph = {"a": {"b": 1, "c": 4}, "b": {"c": 2}}
    equal(n["dijkstra"](graph, "a"), {"a": 0, "b": 1, "c": 3})


def check_hanoi(n):
    pegs = {"A": [3, 2, 1], "B": [], "C": []}
    for source, target in n["hanoi"](3):
        disk = pegs[source].pop()
        true(not pegs[target] or pegs[target][-1] > disk)
        pegs[target].append(disk)
    equal(pegs["C"], [3, 2, 1])


# For each name a list of expressions that must be true, or a function that checks the names it defines.
CHECKS = {
    "fibonacci": ["fibonacci(10) == 55", "fibonacci(0) == 0", "fibonacci(1) == 1", "raises(ValueError, fibonacci, -1)"],
    "fibonacci_sequence": ["fibonacci_sequence(7) == [0, 1, 1, 2, 3, 5, 8]", "fibonacci_sequence(0) == []"],
    "factorial": ["factorial(5) == 120", "factorial(0) == 1", "raises(ValueError, factorial, -1)"],
    "is_prime": ["[n for n in range(-2, 60) if is_prime(n)] == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59]"],
    "sieve": ["primes_up_to(30) == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]", "primes_up_to(1) == []", "primes_up_to(2) == [2]"],
    "prime_factors": ["prime_factors(360) == [2, 2, 2, 3, 3, 5]", "prime_factors(1) == []", "prime_factors(97) == [97]"],
    "gcd": ["gcd(48, 18) == 6", "gcd(0, 5) == 5", "gcd(-4, 6) == 2"],
    "lcm": ["lcm(4, 6) == 12", "lcm(0, 3) == 0", "lcm(-4, 6) == 12"],
    "fizzbuzz": ["fizzbuzz(15)[2::2] == ['Fizz', 'Buzz', '7', 'Fizz', '11', '13', 'FizzBuzz']", "fizzbuzz(0) == []"],
    "power": ["power(2, 10) == 1024", "power(5, 0) == 1", "raises(ValueError, power, 2, -1)"],
    "integer_sqrt": ["abs(square_root(2) ** 2 - 2) < 1e-9", "square_root(0) == 0", "abs(square_root(0.25) - 0.5) < 1e-9"],
    "is_leap_year": ["[is_leap_year(y) for y in (1900, 2000, 2023, 2024)] == [False, True, False, True]"],
    "temperature": ["celsius_to_fahrenheit(100) == 212", "fahrenheit_to_celsius(32) == 0"],
    "sum_of_digits": ["sum_of_digits(1234) == 10", "sum_of_digits(-12) == 3"],
    "is_even": ["is_even(2) and not is_even(3) and is_even(0)"],
    "average": ["average([1, 2, 3]) == 2", "raises(ValueError, average, [])"],
    "median": ["median([3, 1, 2]) == 2", "median([4, 1, 2, 3]) == 2.5"],
    "add_numbers": ["add(2, 3) == 5"],
    "calculator": ["calculate(6, '/', 3) == 2", "calculate(2, '*', 4) == 8", "raises(ValueError, calculate, 1, '?', 2)"],
    "decimal_to_binary": ["decimal_to_binary(10) == '1010'", "decimal_to_binary(0) == '0'", "decimal_to_binary(-3) == '-11'"],
    "roman": ["to_roman(1994) == 'MCMXCIV'", "all(from_roman(to_roman(n)) == n for n in range(1, 4000))"],
    "is_palindrome": ["is_palindrome('A man, a plan, a canal: Panama')", "not is_palindrome('ab')"],
    "reverse_string": ["reverse_string('abc') == 'cba'"],
    "is_anagram": ["is_anagram('Listen', 'Silent')", "not is_anagram('a', 'b')"],
    "word_count": ["word_count('The cat. the dog') == {'the': 2, 'cat': 1, 'dog': 1}"],
    "count_vowels": ["count_vowels('Education') == 5"],
    "count_characters": ["character_frequency('aab') == {'a': 2, 'b': 1}"],
    "caesar": ["caesar_cipher('Hello, Zoe', 3) == 'Khoor, Crh'", "caesar_cipher(caesar_cipher('xyz', 5), -5) == 'xyz'"],
    "is_email": ["is_valid_email('ann@example.org')", "not is_valid_email('ann@')", "not is_valid_email('a b@example.org')"],
    "title_case": ["title_case('hello big WORLD') == 'Hello Big World'"],
    "longest_word": ["longest_word('a bbb cc') == 'bbb'"],
    "balanced_brackets": ["has_balanced_brackets('{[()]}')", "not has_balanced_brackets('(]')", "not has_balanced_brackets('(')"],
    "levenshtein": ["edit_distance('kitten', 'sitting') == 3", "edit_distance('', 'ab') == 2"],
    "longest_common_subsequence": ["longest_common_subsequence('abcde', 'xacye') == 'ace'"],
    "run_length": ["run_length_encode('aab') == [('a', 2), ('b', 1)]"],
    "slugify": ["slugify('Hello, big World!') == 'hello-big-world'"],
    "hello_world": check_hello,
    "sort": lambda n: check_sort(n, "sort_list"),
    "quick_sort": lambda n: check_sort(n, "quicksort"),
    "merge_sort": lambda n: check_sort(n, "merge_sort"),
    "bubble_sort": lambda n: check_sort(n, "bubble_sort"),
    "insertion_sort": lambda n: check_sort(n, "insertion_sort"),
    "selection_sort": lambda n: check_sort(n, "selection_sort"),
    "heap_sort": lambda n: check_sort(n, "heap_sort"),
    "binary_search": ["all(binary_search([1, 3, 5, 7], x) == i for x, i in ((1, 0), (7, 3), (4, -1), (8, -1)))", "binary_search([], 1) == -1"],
    "linear_search": ["linear_search([4, 2, 2], 2) == 1", "linear_search([], 2) == -1"],
    "two_sum": ["two_sum([2, 7, 11, 15], 9) == (0, 1)", "two_sum([1], 2) is None"],
    "flatten": ["flatten([1, [2, [3, []]], 4]) == [1, 2, 3, 4]"],
    "remove_duplicates": ["remove_duplicates([3, 1, 3, 2, 1]) == [3, 1, 2]"],
    "maximum": ["maximum([1, 9, 3]) == 9", "raises(ValueError, maximum, [])"],
    "minimum": ["minimum([4, -1, 3]) == -1", "raises(ValueError, minimum, [])"],
    "sum_list": ["sum_list([1, 2, 3]) == 6", "sum_list([]) == 0"],
    "reverse_list": ["reverse_list([1, 2, 3]) == [3, 2, 1]"],
    "even_numbers": ["even_numbers([1, 2, 3, 4]) == [2, 4]"],
    "merge_sorted": ["merge_sorted([1, 4], [2, 3, 5]) == [1, 2, 3, 4, 5]"],
    "matrix_multiply": ["matrix_multiply([[1, 2], [3, 4]], [[5, 6], [7, 8]]) == [[19, 22], [43, 50]]", "raises(ValueError, matrix_multiply, [[1]], [[1], [2]])"],
    "transpose": ["transpose([[1, 2], [3, 4]]) == [[1, 3], [2, 4]]"],
    "permutations": ["sorted(permutations([1, 2, 3])) == [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]]"],
    "chunks": ["chunk_list([1, 2, 3], 2) == [[1, 2], [3]]", "raises(ValueError, chunk_list, [], 0)"],
    "stack": lambda n: check_structures(n, "Stack", "push", "pop", [3, 2, 1]),
    "queue": lambda n: check_structures(n, "Queue", "enqueue", "dequeue", [1, 2, 3]),
    "priority_queue": check_priority_queue,
    "linked_list": check_linked_list,
    "binary_tree": check_tree,
    "binary_search_tree": check_search_tree,
    "bfs": lambda n: equal(n["breadth_first_search"](GRAPH, "a"), ["a", "b", "c", "d"]),
    "dfs": lambda n: equal(n["depth_first_search"](GRAPH, "a"), ["a", "b", "d", "c"]),
    "dijkstra": check_dijkstra,
    "lru_cache": check_lru,
    "hanoi": check_hanoi,
    "read_csv": check_read_csv,
    "read_json": check_read_json,
    "read_lines": check_read_lines,
    "http_server": check_http_server,
    "login": check_login,
    "random_password": ["len(generate_password(20)) == 20", "generate_password() != generate_password()", "raises(ValueError, generate_password, 4)"],
    "retry": check_retry,
    "timer": check_timer,
    "memoize": check_memoize,
    "bank_account": check_account,
    "days_between": ["days_between('2024-02-28', '2024-03-01') == 2", "days_between('2024-01-02', '2024-01-01') == 1"],
    "sqlite": check_sqlite,
    "download": ["raises(ValueError, fetch_url, 'file:///etc/hostname')"],
    "tic_tac_toe": ["winner(list('XXX      ')) == 'X'", "winner(list('O  O  O  ')) == 'O'", "winner(list(' ' * 9)) is None"],
    "guess_number": check_guess,
}


def check_snippet(name, source):
    names = {"__name__": "snippet"}
    exec(compile(source, name, "exec"), names)
    checks = CHECKS[name]
    if callable(checks):
        checks(names)
        return
    names["raises"] = raises
    for expression in checks:
        assert eval(expression, names), expression


def main():
    lines = subprocess.run([sys.argv[1], "--dump"], check=True, capture_output=True, text=True).stdout.splitlines()
    snippets = {item["name"]: item["source"] for item in map(json.loads, lines)}
    assert len(snippets) == len(lines), "a name stands twice"
    assert set(snippets) == set(CHECKS), set(snippets) ^ set(CHECKS)
    for name, source in snippets.items():
        try:
            check_snippet(name, source)
        except Exception as error:
            sys.exit(f"{name}: {type(error).__name__}: {error}")
    print(f"{len(snippets)} Python texts of the mock model run as they should")


if __name__ == "__main__":
    main()
