# Where every library comes from. System packages first; Torch is the folder of an installed Python
# package, KAPPASCOPE_TORCH_ROOT, which `make` finds or installs.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8>=10.40)
pkg_check_modules(LIBMD REQUIRED IMPORTED_TARGET libmd)
pkg_check_modules(CAIRO REQUIRED IMPORTED_TARGET cairo)
pkg_check_modules(RSVG REQUIRED IMPORTED_TARGET librsvg-2.0)
pkg_check_modules(FONTCONFIG REQUIRED IMPORTED_TARGET fontconfig)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)

add_library(kappascope_libraries INTERFACE)
target_link_libraries(kappascope_libraries INTERFACE nlohmann_json::nlohmann_json CLI11::CLI11
                      PkgConfig::PCRE2 PkgConfig::LIBMD PkgConfig::CAIRO PkgConfig::RSVG
                      PkgConfig::FONTCONFIG PkgConfig::UTF8PROC ZLIB::ZLIB Threads::Threads)
# Whoever uses none of a library's functions does not load it.
target_link_options(kappascope_libraries INTERFACE -Wl,--as-needed)

if(KAPPASCOPE_ENGINE)
  set(KAPPASCOPE_TORCH_ROOT "" CACHE STRING
      "Folder of the Python package torch (holds include/, lib/); from the source folder if relative")
  cmake_path(ABSOLUTE_PATH KAPPASCOPE_TORCH_ROOT BASE_DIRECTORY "${CMAKE_SOURCE_DIR}" NORMALIZE
             OUTPUT_VARIABLE torch_root)
  if(NOT EXISTS "${torch_root}/lib/libtorch_cpu.so")
    message(FATAL_ERROR "KAPPASCOPE_TORCH_ROOT='${KAPPASCOPE_TORCH_ROOT}' holds no lib/libtorch_cpu.so; "
                        "`make build` finds or installs Torch, or give the folder of your own")
  endif()
  # Not find_package(Torch): without a CUDA toolkit the wheel's own CMake file stops with an error,
  # and it would link libtorch_cuda, which costs 0.25 s and 350 MB at the first use.
  add_library(kappascope_torch INTERFACE)
  target_include_directories(kappascope_torch SYSTEM INTERFACE
                             "${torch_root}/include" "${torch_root}/include/torch/csrc/api/include")
  target_link_libraries(kappascope_torch INTERFACE "${torch_root}/lib/libtorch_cpu.so"
                        "${torch_root}/lib/libc10.so")
  # A Torch inside the checkout is found by a relative path, so that the tree may be moved.
  cmake_path(IS_PREFIX CMAKE_SOURCE_DIR "${torch_root}" NORMALIZE torch_inside)
  set(KAPPASCOPE_TORCH_RPATH "${torch_root}/lib")
  if(torch_inside)
    cmake_path(RELATIVE_PATH KAPPASCOPE_TORCH_RPATH BASE_DIRECTORY "${CMAKE_BINARY_DIR}")
    string(PREPEND KAPPASCOPE_TORCH_RPATH "$ORIGIN/")
  endif()
endif()
