# Where every library comes from. System packages first; Torch is the folder of an installed Python
# package, KAPPASCOPE_TORCH_ROOT, which `make` finds or installs.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8>=10.40)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(LIBMD REQUIRED IMPORTED_TARGET libmd)
pkg_check_modules(CAIRO REQUIRED IMPORTED_TARGET cairo)
pkg_check_modules(PANGO REQUIRED IMPORTED_TARGET pangocairo>=1.44)
pkg_check_modules(RSVG REQUIRED IMPORTED_TARGET librsvg-2.0)
pkg_check_modules(FONTCONFIG REQUIRED IMPORTED_TARGET fontconfig)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(TOMLPLUSPLUS REQUIRED IMPORTED_TARGET tomlplusplus)

add_library(kappascope_libraries INTERFACE)
target_link_libraries(kappascope_libraries INTERFACE nlohmann_json::nlohmann_json CLI11::CLI11
                      PkgConfig::PCRE2 PkgConfig::ZSTD PkgConfig::LIBMD PkgConfig::CAIRO
                      PkgConfig::PANGO PkgConfig::RSVG PkgConfig::FONTCONFIG PkgConfig::UTF8PROC
                      PkgConfig::TOMLPLUSPLUS ZLIB::ZLIB Threads::Threads)
# Whoever uses none of a library's functions does not load it.
target_link_options(kappascope_libraries INTERFACE -Wl,--as-needed)

if(KAPPASCOPE_ENGINE)
  include(cmake/torch.cmake)
endif()
