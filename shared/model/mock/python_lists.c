/* What the mock model knows of Python: tasks about lists: sorting, searching, reshaping. */
#include "shared/model/mock/mock.h"

/* Each line is one literal, so that the Python reads as Python; clang-format would join and break them. */
/* clang-format off */
const struct mock_snippet MOCK_PYTHON_LISTS[] = {
    {"sort", "sort",
     "def sort_list(items: list) -> list:\n"
     "    \"\"\"Sort a list in ascending order; the list that was given stays as it is.\"\"\"\n"
     "    if len(items) <= 1:\n"
     "        return list(items)\n"
     "    middle = len(items) // 2\n"
     "    left, right = sort_list(items[:middle]), sort_list(items[middle:])\n"
     "    merged = []\n"
     "    while left and right:\n"
     "        merged.append(left.pop(0) if left[0] <= right[0] else right.pop(0))\n"
     "    return merged + left + right\n"},
    {"quick_sort", "quicksort;quick sort",
     "def quicksort(items: list) -> list:\n"
     "    \"\"\"Sort a list with the quick sort algorithm and return a new list.\"\"\"\n"
     "    if len(items) <= 1:\n"
     "        return list(items)\n"
     "    pivot = items[len(items) // 2]\n"
     "    smaller = [item for item in items if item < pivot]\n"
     "    equal = [item for item in items if item == pivot]\n"
     "    larger = [item for item in items if item > pivot]\n"
     "    return quicksort(smaller) + equal + quicksort(larger)\n"},
    {"merge_sort", "mergesort;merge sort",
     "def merge_sort(items: list) -> list:\n"
     "    \"\"\"Sort a list with the merge sort algorithm and return a new list.\"\"\"\n"
     "    if len(items) <= 1:\n"
     "        return list(items)\n"
     "    middle = len(items) // 2\n"
     "    return _merge(merge_sort(items[:middle]), merge_sort(items[middle:]))\n"
     "\n"
     "\n"
     "def _merge(left: list, right: list) -> list:\n"
     "    merged = []\n"
     "    row, column = 0, 0\n"
     "    while row < len(left) and column < len(right):\n"
     "        if left[row] <= right[column]:\n"
     "            merged.append(left[row])\n"
     "            row += 1\n"
     "        else:\n"
     "            merged.append(right[column])\n"
     "            column += 1\n"
     "    return merged + left[row:] + right[column:]\n"},
    {"bubble_sort", "bubblesort;bubble sort",
     "def bubble_sort(items: list) -> list:\n"
     "    \"\"\"Sort a list with the bubble sort algorithm and return a new list.\"\"\"\n"
     "    result = list(items)\n"
     "    for end in range(len(result) - 1, 0, -1):\n"
     "        swapped = False\n"
     "        for index in range(end):\n"
     "            if result[index] > result[index + 1]:\n"
     "                result[index], result[index + 1] = result[index + 1], result[index]\n"
     "                swapped = True\n"
     "        if not swapped:\n"
     "            break\n"
     "    return result\n"},
    {"insertion_sort", "insertion sort",
     "def insertion_sort(items: list) -> list:\n"
     "    \"\"\"Sort a list with the insertion sort algorithm and return a new list.\"\"\"\n"
     "    result = list(items)\n"
     "    for end in range(1, len(result)):\n"
     "        item = result[end]\n"
     "        index = end\n"
     "        while index > 0 and result[index - 1] > item:\n"
     "            result[index] = result[index - 1]\n"
     "            index -= 1\n"
     "        result[index] = item\n"
     "    return result\n"},
    {"selection_sort", "selection sort",
     "def selection_sort(items: list) -> list:\n"
     "    \"\"\"Sort a list with the selection sort algorithm and return a new list.\"\"\"\n"
     "    result = list(items)\n"
     "    for start in range(len(result)):\n"
     "        smallest = min(range(start, len(result)), key=result.__getitem__)\n"
     "        result[start], result[smallest] = result[smallest], result[start]\n"
     "    return result\n"},
    {"heap_sort", "heapsort;heap sort",
     "import heapq\n"
     "\n"
     "\n"
     "def heap_sort(items: list) -> list:\n"
     "    \"\"\"Sort a list with the heap sort algorithm and return a new list.\"\"\"\n"
     "    heap = list(items)\n"
     "    heapq.heapify(heap)\n"
     "    return [heapq.heappop(heap) for _ in range(len(heap))]\n"},
    {"binary_search", "binary search",
     "def binary_search(items: list, target) -> int:\n"
     "    \"\"\"Return the index of target in a sorted list by binary search, or -1 when it is missing.\"\"\"\n"
     "    low, high = 0, len(items) - 1\n"
     "    while low <= high:\n"
     "        middle = (low + high) // 2\n"
     "        if items[middle] == target:\n"
     "            return middle\n"
     "        if items[middle] < target:\n"
     "            low = middle + 1\n"
     "        else:\n"
     "            high = middle - 1\n"
     "    return -1\n"},
    {"linear_search", "linear search;sequential search;search list;find element list;search element",
     "def linear_search(items: list, target) -> int:\n"
     "    \"\"\"Return the index of the first element equal to target by linear search of a list, or -1.\"\"\"\n"
     "    for index, item in enumerate(items):\n"
     "        if item == target:\n"
     "            return index\n"
     "    return -1\n"},
    {"two_sum", "two sum;two numbers add target;pair sum;two numbers sum target",
     "def two_sum(numbers: list[int], target: int) -> tuple[int, int] | None:\n"
     "    \"\"\"Find two numbers whose sum is target; return the pair of their indices, or None.\"\"\"\n"
     "    seen: dict[int, int] = {}\n"
     "    for index, number in enumerate(numbers):\n"
     "        if target - number in seen:\n"
     "            return seen[target - number], index\n"
     "        seen[number] = index\n"
     "    return None\n"},
    {"flatten", "flatten;flatten list;nested list",
     "def flatten(items: list) -> list:\n"
     "    \"\"\"Flatten a nested list of any depth into a flat list.\"\"\"\n"
     "    flat: list = []\n"
     "    for item in items:\n"
     "        if isinstance(item, list):\n"
     "            flat.extend(flatten(item))\n"
     "        else:\n"
     "            flat.append(item)\n"
     "    return flat\n"},
    {"remove_duplicates", "remove duplicate;duplicates list;unique list;unique elements;deduplicate;find duplicates",
     "def remove_duplicates(items: list) -> list:\n"
     "    \"\"\"Remove duplicates from a list and keep the first of each of its unique elements, in order.\"\"\"\n"
     "    return list(dict.fromkeys(items))\n"},
    {"maximum", "maximum;max list;largest number;largest element;biggest number",
     "def maximum(numbers: list[float]) -> float:\n"
     "    \"\"\"Return the maximum, the largest number, of a list.\"\"\"\n"
     "    if not numbers:\n"
     "        raise ValueError(\"numbers must not be empty\")\n"
     "    largest = numbers[0]\n"
     "    for number in numbers[1:]:\n"
     "        if number > largest:\n"
     "            largest = number\n"
     "    return largest\n"},
    {"minimum", "minimum;min list;smallest number;smallest element",
     "def minimum(numbers: list[float]) -> float:\n"
     "    \"\"\"Return the minimum, the smallest number, of a list.\"\"\"\n"
     "    if not numbers:\n"
     "        raise ValueError(\"numbers must not be empty\")\n"
     "    smallest = numbers[0]\n"
     "    for number in numbers[1:]:\n"
     "        if number < smallest:\n"
     "            smallest = number\n"
     "    return smallest\n"},
    {"sum_list", "sum list;sum numbers;total list;sum array",
     "def sum_list(numbers: list[float]) -> float:\n"
     "    \"\"\"Return the sum (the total) of all numbers in a list.\"\"\"\n"
     "    total = 0\n"
     "    for number in numbers:\n"
     "        total += number\n"
     "    return total\n"},
    {"reverse_list", "reverse list;reverse array",
     "def reverse_list(items: list) -> list:\n"
     "    \"\"\"Return a new list with the items in reverse order.\"\"\"\n"
     "    return items[::-1]\n"},
    {"even_numbers", "filter even;even numbers list;even numbers",
     "def even_numbers(numbers: list[int]) -> list[int]:\n"
     "    \"\"\"Filter a list and return only its even numbers.\"\"\"\n"
     "    return [number for number in numbers if number % 2 == 0]\n"},
    {"merge_sorted", "merge two sorted;merge sorted lists;merge sorted arrays",
     "def merge_sorted(first: list, second: list) -> list:\n"
     "    \"\"\"Merge two sorted lists into one sorted list.\"\"\"\n"
     "    merged = []\n"
     "    left, right = 0, 0\n"
     "    while left < len(first) and right < len(second):\n"
     "        if first[left] <= second[right]:\n"
     "            merged.append(first[left])\n"
     "            left += 1\n"
     "        else:\n"
     "            merged.append(second[right])\n"
     "            right += 1\n"
     "    return merged + first[left:] + second[right:]\n"},
    {"matrix_multiply", "matrix multiply;matrix multiplication;multiply matrices;matrices multiplication;matrix product",
     "def matrix_multiply(first: list[list[float]], second: list[list[float]]) -> list[list[float]]:\n"
     "    \"\"\"Multiply two matrices; return their matrix product (matrix multiplication).\"\"\"\n"
     "    if not first or not second or any(len(row) != len(second) for row in first):\n"
     "        raise ValueError(\"the columns of the first must match the rows of the second\")\n"
     "    columns = list(zip(*second))\n"
     "    return [[sum(a * b for a, b in zip(row, column)) for column in columns] for row in first]\n"},
    {"transpose", "transpose;transpose matrix",
     "def transpose(matrix: list[list]) -> list[list]:\n"
     "    \"\"\"Transpose a matrix: its rows become columns.\"\"\"\n"
     "    return [list(column) for column in zip(*matrix)]\n"},
    {"permutations", "permutation;permutations",
     "def permutations(items: list) -> list[list]:\n"
     "    \"\"\"Return all permutations of the items of a list.\"\"\"\n"
     "    if not items:\n"
     "        return [[]]\n"
     "    result = []\n"
     "    for index, item in enumerate(items):\n"
     "        for rest in permutations(items[:index] + items[index + 1 :]):\n"
     "            result.append([item] + rest)\n"
     "    return result\n"},
    {"chunks", "chunk list;split list;chunks",
     "def chunk_list(items: list, size: int) -> list[list]:\n"
     "    \"\"\"Split a list into chunks of at most size items.\"\"\"\n"
     "    if size < 1:\n"
     "        raise ValueError(\"size must be positive\")\n"
     "    return [items[start : start + size] for start in range(0, len(items), size)]\n"},
    {0},
};
/* clang-format on */
