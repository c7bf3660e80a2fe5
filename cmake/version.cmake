# Run as a script, fails unless this CMake is new enough for the presets.
cmake_minimum_required(VERSION 3.25)
