import os
import sys

if "--check" in sys.argv:
    sys.exit(0)
print("python as", os.getuid(), "in", os.getcwd(), *sys.argv[1:])
