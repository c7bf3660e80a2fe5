#include "app/gui/settings.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <type_traits>

#include "app/gui/user_folders.h"
#include "core/checkpoint/input_file.h"
#include "core/error.h"
#include "core/trace/output_file.h"
#include "core/trace/trace.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

constexpr const char* kSettingsSchema = "kappascope.settings/1";
constexpr std::size_t kMostRecent = 12;
constexpr std::uint64_t kLongestSettings = std::uint64_t(8) << 20;

template <typename T>
void read_field(const Json& document, const char* name, T& value) {
  const auto found = document.find(name);
  if (found == document.end()) { return; }
  if constexpr (std::is_same_v<T, bool>) {
    if (found->is_boolean()) { value = found->get<bool>(); }
  } else if constexpr (std::is_integral_v<T>) {
    const double wanted = found->is_number() ? found->get<double>() : NAN;  // NaN is in no range
    if (wanted >= std::numeric_limits<T>::min() && wanted <= std::numeric_limits<T>::max()) {
      value = T(wanted);
    }
  } else if (found->is_number()) {
    value = found->get<T>();
  }
}

std::vector<std::string> strings_of(const Json& list) {
  std::vector<std::string> strings;
  if (!list.is_array()) { return strings; }
  for (const Json& one : list) {
    if (one.is_string()) { strings.push_back(one.get<std::string>()); }
  }
  return strings;
}

// "org/name" of "…/models--org--name/snapshots/HASH", by its names alone; "" of other paths.
std::string hub_name_of(const fs::path& path) {
  const std::string folder = path.parent_path().parent_path().filename().string();
  if (path.parent_path().filename() != "snapshots" || !folder.starts_with("models--")) {
    return "";
  }
  std::string name = folder.substr(std::string_view("models--").size());
  const std::size_t gap = name.find("--");
  if (gap != std::string::npos) { name.replace(gap, 2, "/"); }
  return name;
}

}  // namespace

Json layout_json(const Layout& layout) {
  Json document = {{"ini", layout.ini}, {"shown", layout.shown}, {"front", layout.front}};
  if (layout.built_in.empty()) { return document; }
  document["built_in"] = layout.built_in;
  document["narrow"] = layout.narrow;
  document["low"] = layout.low;
  return document;
}

Layout layout_of(const Json& document) {
  Layout layout;
  if (!document.is_object()) { return layout; }
  const auto ini = document.find("ini");
  if (ini != document.end() && ini->is_string()) { layout.ini = ini->get<std::string>(); }
  const auto shown = document.find("shown");
  if (shown != document.end()) { layout.shown = strings_of(*shown); }
  const auto front = document.find("front");
  if (front != document.end()) { layout.front = strings_of(*front); }
  const auto built_in = document.find("built_in");
  if (built_in != document.end() && built_in->is_string()) {
    layout.built_in = built_in->get<std::string>();
  }
  read_field(document, "narrow", layout.narrow);
  read_field(document, "low", layout.low);
  return layout;
}

Settings load_settings(const fs::path& file) {
  Settings settings;
  std::error_code unreadable;
  if (!fs::exists(file, unreadable)) { return settings; }
  const Json document = parse_json(read_text_file(file, kLongestSettings), file.native());
  const bool ours =
      document.is_object() && document.value("schema", Json()) == Json(kSettingsSchema);
  require(ours, ExitCode::damaged, {.file = file.native()}, "not settings of kappascope; expected ",
          "schema ", kSettingsSchema);
  read_field(document, "dark", settings.dark);
  read_field(document, "scale", settings.scale);
  read_field(document, "width", settings.width);
  read_field(document, "height", settings.height);
  settings.scale = std::clamp(settings.scale, kLeastScale, kMostScale);
  settings.width = std::clamp(settings.width, 320, 16384);
  settings.height = std::clamp(settings.height, 240, 16384);
  settings.recent = strings_of(document.value("recent", Json()));
  settings.recent.resize(std::min(settings.recent.size(), kMostRecent));
  settings.last = layout_of(document.value("last", Json()));
  const Json layouts = document.value("layouts", Json());
  if (layouts.is_object()) {
    for (const auto& [name, layout] : layouts.items()) {
      settings.layouts[name] = layout_of(layout);
    }
  }
  return settings;
}

void save_settings(const Settings& settings, const fs::path& file) {
  Json layouts = Json::object();
  for (const auto& [name, layout] : settings.layouts) { layouts[name] = layout_json(layout); }
  write_text_file(file, json_text({{"schema", kSettingsSchema},
                                   {"dark", settings.dark},
                                   {"scale", settings.scale},
                                   {"width", settings.width},
                                   {"height", settings.height},
                                   {"recent", settings.recent},
                                   {"layouts", layouts},
                                   {"last", layout_json(settings.last)}}));
}

void update_settings(Settings& settings, const fs::path& file, const SettingsChange& change) {
  if (file.empty()) { return change(settings); }
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  const FileLock turn(file.string() + ".lock");
  Settings kept;
  try {
    kept = load_settings(file);
  } catch (const Error&) {  // said when the window started; the user may mend it by hand
    fs::rename(file, file.string() + ".broken", error);
    kept = settings;
  }
  change(kept);
  save_settings(kept, file);
  settings.recent = kept.recent;
  settings.layouts = kept.layouts;
}

void remember_recent(Settings& settings, const fs::path& path) {
  std::error_code unreadable;
  fs::path file = fs::absolute(path).lexically_normal();
  if (!file.has_filename()) { file = file.parent_path(); }
  if (fs::exists(file / kTraceFile, unreadable)) { file /= kTraceFile; }
  const std::string absolute = file.string();
  auto& recent = settings.recent;
  recent.erase(std::remove(recent.begin(), recent.end(), absolute), recent.end());
  recent.insert(recent.begin(), absolute);
  recent.resize(std::min(recent.size(), kMostRecent));
}

std::vector<std::string> short_paths(const std::vector<std::string>& paths) {
  // Its last parts; of a file within a run or a model at least the folder, too.
  const auto end_of = [](const fs::path& path, int parts) {
    fs::path end = path.filename(), rest = path.parent_path();
    for (; parts > 1 && rest.has_filename(); --parts, rest = rest.parent_path()) {
      end = rest.filename() / end;
    }
    return end.string();
  };
  std::vector<std::string> names;
  for (const std::string& path : paths) {
    if (std::string name = hub_name_of(path); !name.empty()) {
      names.push_back(std::move(name));
      continue;
    }
    const bool inner = fs::path(path).has_extension();
    int parts = inner ? 2 : 1;
    const auto clashes = [&](const std::string& other) {
      return other != path && end_of(other, parts) == end_of(path, parts);
    };
    while (end_of(path, parts) != end_of(path, parts + 1) &&
           std::any_of(paths.begin(), paths.end(), clashes)) {
      ++parts;
    }
    names.push_back(end_of(path, parts));
  }
  return names;
}

std::string json_text(const Json& document) {
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

void write_text_file(const fs::path& file, const std::string& text) {
  std::error_code error;
  const fs::path folder = fs::absolute(file).parent_path();
  fs::create_directories(folder, error);
  require(!error, ExitCode::io, {.file = folder.native()}, error.message());
  const fs::path staged = join_words(fs::absolute(file).string(), ".", getpid(), ".new");
  fs::remove(staged, error);
  OutputFile out(staged);
  out.write_at(0, std::as_bytes(std::span(text)));
  out.finish();
  fs::rename(staged, file, error);
  require(!error, ExitCode::io, {.file = file.native()}, error.message());
}

}  // namespace kappascope::gui
