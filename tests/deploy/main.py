"""Runs the tests of deploy/ and prints their sum as cargo's test programs do, which tests/all adds up."""

import sys
import unittest
from pathlib import Path


def main(words):
    loader = unittest.TestLoader()
    if words:
        loader.testNamePatterns = [f"*{word}*" for word in words]
    here = Path(__file__).parent
    suite = loader.discover(str(here), pattern="test_*.py", top_level_dir=str(here))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    # A test that is run for several values counts once; what fails before a class' tests, too.
    failed = {getattr(test, "test_case", test) for test, _ in result.failures + result.errors}
    bad = len(failed)
    # Nothing run is not "ok": a pattern that matches nothing, or a suite that was not found.
    good = result.wasSuccessful() and result.testsRun > 0 and not result.skipped
    passed = max(0, result.testsRun - bad - len(result.skipped))
    print(f"test result: {'ok' if good else 'FAILED'}. {passed} passed; {bad} failed; "
          f"{len(result.skipped)} ignored")
    return 0 if good else 1


sys.exit(main(sys.argv[1:]))
