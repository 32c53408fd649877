/* What the mock model knows of Python: tasks about text. */
#include "shared/model/mock/mock.h"

/* Each line is one literal, so that the Python reads as Python; clang-format would join and break them. */
/* clang-format off */
const struct mock_snippet MOCK_PYTHON_TEXT[] = {
    {"is_palindrome", "palindrome;palindromes",
     "def is_palindrome(text: str) -> bool:\n"
     "    \"\"\"Check whether a text is a palindrome, ignoring case, spaces and punctuation.\"\"\"\n"
     "    letters = [letter.lower() for letter in text if letter.isalnum()]\n"
     "    return letters == letters[::-1]\n"},
    {"reverse_string", "reverse string;reverse text;reverse word;string backwards",
     "def reverse_string(text: str) -> str:\n"
     "    \"\"\"Return a string with its characters in reverse order.\"\"\"\n"
     "    return text[::-1]\n"},
    {"is_anagram", "anagram;anagrams",
     "from collections import Counter\n"
     "\n"
     "\n"
     "def is_anagram(first: str, second: str) -> bool:\n"
     "    \"\"\"Check whether two texts are anagrams, ignoring case and spaces.\"\"\"\n"
     "    return _letters(first) == _letters(second)\n"
     "\n"
     "\n"
     "def _letters(text: str) -> Counter:\n"
     "    return Counter(letter.lower() for letter in text if not letter.isspace())\n"},
    {"word_count", "word count;count words;word frequency;words occur;count occurrence word",
     "import re\n"
     "from collections import Counter\n"
     "\n"
     "\n"
     "def word_count(text: str) -> dict[str, int]:\n"
     "    \"\"\"Count how often each word occurs in a text, ignoring case.\"\"\"\n"
     "    return dict(Counter(re.findall(r\"[\\w']+\", text.lower())))\n"},
    {"count_vowels", "vowel;vowels;count vowels",
     "def count_vowels(text: str) -> int:\n"
     "    \"\"\"Count the vowels in a text.\"\"\"\n"
     "    return sum(1 for letter in text.lower() if letter in \"aeiou\")\n"},
    {"count_characters", "count characters;character frequency;count letters;letter frequency;frequency characters",
     "from collections import Counter\n"
     "\n"
     "\n"
     "def character_frequency(text: str) -> dict[str, int]:\n"
     "    \"\"\"Count how often each character (letter, digit, space) occurs in a text.\"\"\"\n"
     "    return dict(Counter(text))\n"},
    {"caesar", "caesar;caesar cipher;shift cipher;rot13",
     "def caesar_cipher(text: str, shift: int) -> str:\n"
     "    \"\"\"Encrypt a text with the Caesar cipher; the negative shift decrypts it again.\"\"\"\n"
     "    result: list[str] = []\n"
     "    for letter in text:\n"
     "        if letter.isascii() and letter.isalpha():\n"
     "            start = ord(\"A\") if letter.isupper() else ord(\"a\")\n"
     "            letter = chr((ord(letter) - start + shift) % 26 + start)\n"
     "        result.append(letter)\n"
     "    return \"\".join(result)\n"},
    {"is_email", "email;email valid;validate email;email address;mail address",
     "import re\n"
     "\n"
     "_EMAIL = re.compile(r\"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)*\\.[A-Za-z]{2,}\")\n"
     "\n"
     "\n"
     "def is_valid_email(address: str) -> bool:\n"
     "    \"\"\"Check whether a text looks like a valid email address.\"\"\"\n"
     "    if len(address) > 254 or \"..\" in address:\n"
     "        return False\n"
     "    return _EMAIL.fullmatch(address) is not None\n"},
    {"title_case", "title case;capitalize words;capitalise words;capitalize word",
     "def title_case(text: str) -> str:\n"
     "    \"\"\"Capitalize the first letter of each word (title case).\"\"\"\n"
     "    return \" \".join(word[:1].upper() + word[1:].lower() for word in text.split())\n"},
    {"longest_word", "longest word",
     "def longest_word(text: str) -> str:\n"
     "    \"\"\"Return the longest word of a text; the first one if several are as long.\"\"\"\n"
     "    words = text.split()\n"
     "    if not words:\n"
     "        raise ValueError(\"text holds no word\")\n"
     "    return max(words, key=len)\n"},
    {"balanced_brackets", "balanced brackets;balanced parentheses;valid parentheses;matching brackets;matching parentheses;valid brackets",
     "def has_balanced_brackets(text: str) -> bool:\n"
     "    \"\"\"Check whether all brackets and parentheses in a text are balanced (a valid nesting).\"\"\"\n"
     "    pairs = {\")\": \"(\", \"]\": \"[\", \"}\": \"{\"}\n"
     "    opened: list[str] = []\n"
     "    for character in text:\n"
     "        if character in pairs.values():\n"
     "            opened.append(character)\n"
     "        elif character in pairs:\n"
     "            if not opened or opened.pop() != pairs[character]:\n"
     "                return False\n"
     "    return not opened\n"},
    {"levenshtein", "levenshtein;edit distance",
     "def edit_distance(first: str, second: str) -> int:\n"
     "    \"\"\"Return the Levenshtein edit distance between two strings.\"\"\"\n"
     "    previous = list(range(len(second) + 1))\n"
     "    for row, left in enumerate(first, start=1):\n"
     "        current = [row]\n"
     "        for column, right in enumerate(second, start=1):\n"
     "            cost = 0 if left == right else 1\n"
     "            current.append(min(previous[column] + 1, current[-1] + 1, previous[column - 1] + cost))\n"
     "        previous = current\n"
     "    return previous[-1]\n"},
    {"longest_common_subsequence", "longest common subsequence;lcs",
     "def longest_common_subsequence(first: str, second: str) -> str:\n"
     "    \"\"\"Return the longest common subsequence of two strings by dynamic programming.\"\"\"\n"
     "    best = [[\"\"] * (len(second) + 1) for _ in range(len(first) + 1)]\n"
     "    for row, left in enumerate(first, start=1):\n"
     "        for column, right in enumerate(second, start=1):\n"
     "            if left == right:\n"
     "                best[row][column] = best[row - 1][column - 1] + left\n"
     "            else:\n"
     "                best[row][column] = max(best[row - 1][column], best[row][column - 1], key=len)\n"
     "    return best[-1][-1]\n"},
    {"run_length", "run length;run length encoding;compress string",
     "def run_length_encode(text: str) -> list[tuple[str, int]]:\n"
     "    \"\"\"Compress a string by run-length encoding into pairs of character and count.\"\"\"\n"
     "    runs: list[tuple[str, int]] = []\n"
     "    for character in text:\n"
     "        if runs and runs[-1][0] == character:\n"
     "            runs[-1] = (character, runs[-1][1] + 1)\n"
     "        else:\n"
     "            runs.append((character, 1))\n"
     "    return runs\n"},
    {"slugify", "slug;slugify",
     "import re\n"
     "\n"
     "\n"
     "def slugify(text: str) -> str:\n"
     "    \"\"\"Turn a text into a slug of lower-case words joined by hyphens.\"\"\"\n"
     "    return \"-\".join(re.findall(r\"[a-z0-9]+\", text.lower()))\n"},
    {"hello_world", "hello world",
     "def hello_world() -> str:\n"
     "    \"\"\"Print the greeting Hello World and return it.\"\"\"\n"
     "    greeting = \"Hello World\"\n"
     "    print(greeting)\n"
     "    return greeting\n"
     "\n"
     "\n"
     "if __name__ == \"__main__\":\n"
     "    hello_world()\n"},
    {0},
};
/* clang-format on */
