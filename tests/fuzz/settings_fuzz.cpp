// Any bytes as the settings that the window keeps: an Error, or settings within their limits, the
// same when kept and read again.
#include "app/gui/settings.h"

#include <cstdlib>
#include <fstream>

#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/temp_folder.h"

namespace {

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

void kappascope::testing::fuzz_settings(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  static const testing::TempFolder folder;
  const std::filesystem::path given = folder / "settings.json", kept = folder / "kept.json";
  std::ofstream(given, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  testing::only_file_errors([&] {
    const gui::Settings settings = gui::load_settings(given);
    const bool fits = settings.scale >= gui::kLeastScale && settings.scale <= gui::kMostScale;
    if (!fits || settings.width < 1 || settings.height < 1) { std::abort(); }
    gui::save_settings(settings, kept);
    const std::string text = text_of(kept);
    gui::save_settings(gui::load_settings(kept), kept);
    if (text_of(kept) != text) { std::abort(); }
  });
}
