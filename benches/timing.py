"""Time of a call, for the scripts that compare with PyTorch."""
import time


def best(f, seconds, calls):
    """Least time of a call within `seconds`, at least `calls` calls."""
    least, begin, done = float("inf"), time.perf_counter(), 0
    while done < calls or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        f()
        least = min(least, time.perf_counter() - start)
        done += 1
    return least
