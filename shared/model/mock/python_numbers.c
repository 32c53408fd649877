/* What the mock model knows of Python: tasks about numbers. */
#include "shared/model/mock/mock.h"

/* Each line is one literal, so that the Python reads as Python; clang-format would join and break them. */
/* clang-format off */
const struct mock_snippet MOCK_PYTHON_NUMBERS[] = {
    {"fibonacci", "fibonacci;fib",
     "def fibonacci(n: int) -> int:\n"
     "    \"\"\"Return the nth Fibonacci number, counting from fibonacci(0) == 0.\"\"\"\n"
     "    if n < 0:\n"
     "        raise ValueError(\"n must not be negative\")\n"
     "    previous, current = 0, 1\n"
     "    for _ in range(n):\n"
     "        previous, current = current, previous + current\n"
     "    return previous\n"},
    {"fibonacci_sequence", "fibonacci sequence;fibonacci series;fibonacci numbers first;fibonacci list",
     "def fibonacci_sequence(count: int) -> list[int]:\n"
     "    \"\"\"Return the first count numbers of the Fibonacci sequence (the series 0, 1, 1, 2, ...).\"\"\"\n"
     "    if count < 0:\n"
     "        raise ValueError(\"count must not be negative\")\n"
     "    numbers: list[int] = []\n"
     "    previous, current = 0, 1\n"
     "    for _ in range(count):\n"
     "        numbers.append(previous)\n"
     "        previous, current = current, previous + current\n"
     "    return numbers\n"},
    {"factorial", "factorial;factorials",
     "def factorial(n: int) -> int:\n"
     "    \"\"\"Return the factorial of n, the product of all integers from 1 to n.\"\"\"\n"
     "    if n < 0:\n"
     "        raise ValueError(\"n must not be negative\")\n"
     "    result = 1\n"
     "    for factor in range(2, n + 1):\n"
     "        result *= factor\n"
     "    return result\n"},
    {"is_prime", "prime;prime number;prime check;primality",
     "def is_prime(number: int) -> bool:\n"
     "    \"\"\"Check whether a number is prime by trial division up to its square root.\"\"\"\n"
     "    if number < 2:\n"
     "        return False\n"
     "    if number < 4:\n"
     "        return True\n"
     "    if number % 2 == 0:\n"
     "        return False\n"
     "    divisor = 3\n"
     "    while divisor * divisor <= number:\n"
     "        if number % divisor == 0:\n"
     "            return False\n"
     "        divisor += 2\n"
     "    return True\n"},
    {"sieve", "sieve;eratosthenes;prime sieve;prime numbers up;primes below;primes list;all primes;generate primes;first primes",
     "def primes_up_to(limit: int) -> list[int]:\n"
     "    \"\"\"Return all prime numbers up to limit with the sieve of Eratosthenes.\"\"\"\n"
     "    if limit < 2:\n"
     "        return []\n"
     "    is_candidate = [True] * (limit + 1)\n"
     "    is_candidate[0] = is_candidate[1] = False\n"
     "    for number in range(2, int(limit**0.5) + 1):\n"
     "        if is_candidate[number]:\n"
     "            for multiple in range(number * number, limit + 1, number):\n"
     "                is_candidate[multiple] = False\n"
     "    return [number for number, prime in enumerate(is_candidate) if prime]\n"},
    {"prime_factors", "prime factor;prime factors;prime factorization;prime factorisation;factorize number",
     "def prime_factors(number: int) -> list[int]:\n"
     "    \"\"\"Return the prime factors of a number in ascending order, with repetition.\"\"\"\n"
     "    if number < 1:\n"
     "        raise ValueError(\"number must be positive\")\n"
     "    factors: list[int] = []\n"
     "    divisor = 2\n"
     "    while divisor * divisor <= number:\n"
     "        while number % divisor == 0:\n"
     "            factors.append(divisor)\n"
     "            number //= divisor\n"
     "        divisor += 1\n"
     "    if number > 1:\n"
     "        factors.append(number)\n"
     "    return factors\n"},
    {"gcd", "gcd;greatest common divisor;euclid;euclidean algorithm",
     "def gcd(first: int, second: int) -> int:\n"
     "    \"\"\"Return the greatest common divisor of two integers with Euclid's algorithm.\"\"\"\n"
     "    first, second = abs(first), abs(second)\n"
     "    while second:\n"
     "        first, second = second, first % second\n"
     "    return first\n"},
    {"lcm", "lcm;least common multiple;lowest common multiple",
     "def lcm(first: int, second: int) -> int:\n"
     "    \"\"\"Return the least common multiple of two integers.\"\"\"\n"
     "    if first == 0 or second == 0:\n"
     "        return 0\n"
     "    divisor, rest = abs(first), abs(second)\n"
     "    while rest:\n"
     "        divisor, rest = rest, divisor % rest\n"
     "    return abs(first * second) // divisor\n"},
    {"fizzbuzz", "fizzbuzz;fizz buzz",
     "def fizzbuzz(limit: int) -> list[str]:\n"
     "    \"\"\"Return the FizzBuzz words for the numbers from 1 to limit.\"\"\"\n"
     "    if limit < 0:\n"
     "        raise ValueError(\"limit must not be negative\")\n"
     "    words: list[str] = []\n"
     "    for number in range(1, limit + 1):\n"
     "        word = (\"Fizz\" if number % 3 == 0 else \"\") + (\"Buzz\" if number % 5 == 0 else \"\")\n"
     "        words.append(word or str(number))\n"
     "    return words\n"},
    {"power", "power number;exponentiation;fast power;raise power",
     "def power(base: int, exponent: int) -> int:\n"
     "    \"\"\"Raise a base number to the power of exponent by fast exponentiation (squaring).\"\"\"\n"
     "    if exponent < 0:\n"
     "        raise ValueError(\"exponent must not be negative\")\n"
     "    result = 1\n"
     "    while exponent:\n"
     "        if exponent % 2:\n"
     "            result *= base\n"
     "        base *= base\n"
     "        exponent //= 2\n"
     "    return result\n"},
    {"integer_sqrt", "square root;sqrt",
     "def square_root(number: float) -> float:\n"
     "    \"\"\"Return the square root of a number with Newton's method.\"\"\"\n"
     "    if number < 0:\n"
     "        raise ValueError(\"number must not be negative\")\n"
     "    if number == 0:\n"
     "        return 0.0\n"
     "    guess = max(number, 1.0)\n"
     "    while True:\n"
     "        better = (guess + number / guess) / 2\n"
     "        if better >= guess:\n"
     "            return guess\n"
     "        guess = better\n"},
    {"is_leap_year", "leap year",
     "def is_leap_year(year: int) -> bool:\n"
     "    \"\"\"Check whether a year is a leap year in the Gregorian calendar.\"\"\"\n"
     "    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)\n"},
    {"temperature", "celsius;fahrenheit;temperature conversion;convert temperature;kelvin",
     "def celsius_to_fahrenheit(celsius: float) -> float:\n"
     "    \"\"\"Convert a temperature from Celsius to Fahrenheit.\"\"\"\n"
     "    if celsius < -273.15:\n"
     "        raise ValueError(\"temperature is below absolute zero\")\n"
     "    return celsius * 9 / 5 + 32\n"
     "\n"
     "\n"
     "def fahrenheit_to_celsius(fahrenheit: float) -> float:\n"
     "    \"\"\"Convert a temperature from Fahrenheit to Celsius.\"\"\"\n"
     "    if fahrenheit < -459.67:\n"
     "        raise ValueError(\"temperature is below absolute zero\")\n"
     "    return (fahrenheit - 32) * 5 / 9\n"},
    {"sum_of_digits", "sum digits;digit sum;add digits",
     "def sum_of_digits(number: int) -> int:\n"
     "    \"\"\"Return the sum of the decimal digits of a number.\"\"\"\n"
     "    return sum(int(digit) for digit in str(abs(number)))\n"},
    {"is_even", "even odd;number even;number odd;check even;check odd",
     "def is_even(number: int) -> bool:\n"
     "    \"\"\"Check whether a number is even; every other number is odd.\"\"\"\n"
     "    return number % 2 == 0\n"},
    {"average", "average;mean",
     "def average(numbers: list[float]) -> float:\n"
     "    \"\"\"Return the average (arithmetic mean) of a list of numbers.\"\"\"\n"
     "    if not numbers:\n"
     "        raise ValueError(\"numbers must not be empty\")\n"
     "    return sum(numbers) / len(numbers)\n"},
    {"median", "median",
     "def median(numbers: list[float]) -> float:\n"
     "    \"\"\"Return the median of a list of numbers.\"\"\"\n"
     "    if not numbers:\n"
     "        raise ValueError(\"numbers must not be empty\")\n"
     "    ordered = sorted(numbers)\n"
     "    middle = len(ordered) // 2\n"
     "    if len(ordered) % 2:\n"
     "        return ordered[middle]\n"
     "    return (ordered[middle - 1] + ordered[middle]) / 2\n"},
    {"add_numbers", "add two numbers;sum two numbers;add numbers;adds two;addition",
     "def add(first: float, second: float) -> float:\n"
     "    \"\"\"Add two numbers and return their sum.\"\"\"\n"
     "    return first + second\n"},
    {"calculator", "calculator",
     "def calculate(first: float, operator: str, second: float) -> float:\n"
     "    \"\"\"Work as a calculator for two numbers and one of the operators +, -, * and /.\"\"\"\n"
     "    if operator == \"+\":\n"
     "        return first + second\n"
     "    if operator == \"-\":\n"
     "        return first - second\n"
     "    if operator == \"*\":\n"
     "        return first * second\n"
     "    if operator == \"/\":\n"
     "        if second == 0:\n"
     "            raise ZeroDivisionError(\"division by zero\")\n"
     "        return first / second\n"
     "    raise ValueError(f\"unknown operator: {operator}\")\n"},
    {"decimal_to_binary", "decimal binary;convert binary;binary representation;integer binary",
     "def decimal_to_binary(number: int) -> str:\n"
     "    \"\"\"Convert a decimal integer to its binary representation.\"\"\"\n"
     "    if number == 0:\n"
     "        return \"0\"\n"
     "    digits: list[str] = []\n"
     "    rest = abs(number)\n"
     "    while rest:\n"
     "        digits.append(str(rest % 2))\n"
     "        rest //= 2\n"
     "    sign = \"-\" if number < 0 else \"\"\n"
     "    return sign + \"\".join(reversed(digits))\n"},
    {"roman", "roman;roman numeral;integer roman",
     "def to_roman(number: int) -> str:\n"
     "    \"\"\"Convert an integer from 1 to 3999 to a Roman numeral.\"\"\"\n"
     "    if not 1 <= number <= 3999:\n"
     "        raise ValueError(\"number must be between 1 and 3999\")\n"
     "    numerals = [\n"
     "        (1000, \"M\"), (900, \"CM\"), (500, \"D\"), (400, \"CD\"), (100, \"C\"), (90, \"XC\"),\n"
     "        (50, \"L\"), (40, \"XL\"), (10, \"X\"), (9, \"IX\"), (5, \"V\"), (4, \"IV\"), (1, \"I\"),\n"
     "    ]\n"
     "    result = \"\"\n"
     "    for value, numeral in numerals:\n"
     "        count, number = divmod(number, value)\n"
     "        result += numeral * count\n"
     "    return result\n"
     "\n"
     "\n"
     "def from_roman(text: str) -> int:\n"
     "    \"\"\"Convert a Roman numeral to an integer.\"\"\"\n"
     "    values = {\"I\": 1, \"V\": 5, \"X\": 10, \"L\": 50, \"C\": 100, \"D\": 500, \"M\": 1000}\n"
     "    total = 0\n"
     "    largest = 0\n"
     "    for letter in reversed(text.upper()):\n"
     "        if letter not in values:\n"
     "            raise ValueError(f\"not a Roman numeral: {letter}\")\n"
     "        value = values[letter]\n"
     "        total += value if value >= largest else -value\n"
     "        largest = max(largest, value)\n"
     "    return total\n"},
    {0},
};
/* clang-format on */
