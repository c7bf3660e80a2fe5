// Which fault of a copy of the sources acts: put in front of each changed file by mutants.py, never
// part of the program.
#pragma once

#include <cstdlib>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace kappascope_mutants {

inline constexpr int kMostFaults = 1 << 14;  // bytes of the file of what was reached

struct Chosen {
  int fault = -1;                    // KAPPASCOPE_MUTANT
  unsigned char* reached = nullptr;  // [kMostFaults], the file KAPPASCOPE_MUTANTS_REACHED
};

inline Chosen choose() {
  Chosen chosen;
  if (const char* number = std::getenv("KAPPASCOPE_MUTANT")) { chosen.fault = std::atoi(number); }
  if (const char* path = std::getenv("KAPPASCOPE_MUTANTS_REACHED")) {
    // Shared memory: what is written stays there when the process is killed.
    const int file = ::open(path, O_RDWR | O_CLOEXEC);
    void* bytes = file < 0
                      ? MAP_FAILED
                      : ::mmap(nullptr, kMostFaults, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file >= 0) { ::close(file); }
    chosen.reached = bytes == MAP_FAILED ? nullptr : static_cast<unsigned char*>(bytes);
  }
  return chosen;
}

inline const Chosen kChosen = choose();

/** True when `fault` is the one that acts; notes that it was reached when that is recorded. */
inline bool acts(int fault) {
  if (kChosen.reached != nullptr) {
    __atomic_store_n(kChosen.reached + fault, 1, __ATOMIC_RELAXED);
  }
  return kChosen.fault == fault;
}

}  // namespace kappascope_mutants
