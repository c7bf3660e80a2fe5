#include "app/cli/batch_index.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <map>
#include <sstream>

#include "app/cli/output_folder.h"
#include "app/cli/terminal.h"
#include "core/csv_text.h"
#include "core/tokenizer/tokenizer.h"
#include "core/trace/trace.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestStem = 200;  // bytes; names of files end at 255
constexpr std::size_t kLeastDigits = 3;
constexpr std::array<std::string_view, 3> kStatusNames{"pending", "done", "failed"};

// Signs at the front that make a spreadsheet run a field, and the one that says that it began so.
constexpr std::string_view kHeldBack = "=+-@\t\r\\";
const std::string kHeld = "\\u00";

// In quotes where they are needed: a folder's name is to be used as it is. "=2" is "\u003d2".
std::string csv_text(std::string_view text) {
  std::string begin;
  if (!text.empty() && kHeldBack.find(text[0]) != std::string_view::npos) {
    begin = kHeld + hex_text(text.substr(0, 1));
    text.remove_prefix(1);
  }
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) { return begin + std::string(text); }
  std::string field = '"' + begin;
  for (const char unit : text) { field += unit == '"' ? "\"\"" : std::string(1, unit); }
  return field + '"';
}

// The text that csv_text() wrote as this field.
std::string text_of_field(std::string field) {
  const std::size_t begin = kHeld.size(), end = begin + 2;
  unsigned char sign = 0;
  const char* const first = field.data() + begin;
  if (!field.starts_with(kHeld) || field.size() < end ||
      std::from_chars(first, first + 2, sign, 16).ptr != first + 2) {
    return field;
  }
  return static_cast<char>(sign) + field.substr(end);
}

std::string csv_of(const std::vector<IndexRow>& rows) {
  std::string text = join_words(kIndexHeader, "\r\n");
  for (const IndexRow& row : rows) {
    text += join_words(csv_text(row.folder), ",", csv_text(row.source), ",");
    if (row.tokens >= 0) { text += std::to_string(row.tokens); }
    text += join_words(",", row.hash, ",", kStatusNames[int(row.status)], ",", csv_text(row.error),
                       "\r\n");
  }
  return text;
}

std::vector<IndexRow> rows_of(const std::string& text) {
  std::vector<IndexRow> rows;
  if (!text.starts_with(kIndexHeader)) {
    return rows;  // not ours: check_places says so
  }
  for (const std::vector<std::string>& fields : csv_rows(text)) {
    if (fields.size() != 6) { continue; }
    const auto status = std::find(kStatusNames.begin(), kStatusNames.end(), fields[4]);
    if (status == kStatusNames.end()) {
      continue;  // the header, or edited by hand
    }
    IndexRow row{text_of_field(fields[0]), text_of_field(fields[1]), -1, fields[3], {},
                 text_of_field(fields[5])};
    std::from_chars(fields[2].data(), fields[2].data() + fields[2].size(), row.tokens);
    row.status = TextStatus(status - kStatusNames.begin());
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// The number in front of a folder's name; 0 without one.
std::size_t folder_number(const std::string& folder) {
  std::size_t number = 0;
  const auto end = std::from_chars(folder.data(), folder.data() + folder.size(), number).ptr;
  const bool numbered =
      std::size_t(end - folder.data()) >= kLeastDigits && *end == '-' && number < 1'000'000'000;
  return numbered ? number : 0;
}

// Folders of results as a batch names them.
std::vector<std::string> result_folders(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (folder_number(name) == 0) { continue; }
    for (const char* file : {kTraceFile, kSummaryFile, kTokensFile}) {
      if (!fs::exists(entry.path() / file, error)) { continue; }
      names.push_back(name);
      break;
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::string numbered_folder(std::size_t index, const std::string& stem) {
  std::string name = stem;
  const bool utf8 = is_utf8(name);
  for (char& c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || c == '/' || (byte >= 0x80 && !utf8)) { c = '_'; }
  }
  while (name.size() > kLongestStem || !is_utf8(name)) { name.pop_back(); }
  const std::string number = std::to_string(index + 1);
  return std::string(kLeastDigits - std::min(kLeastDigits, number.size()), '0') + number + "-" +
         name;
}

BatchIndex::BatchIndex(OutputFolder& folder, std::string command, Json identity)
    : folder_(folder), command_(std::move(command)), identity_(std::move(identity)) {
  earlier_ = rows_of(contents(folder.path() / kIndexFile));
  const Json batch = Json::parse(contents(folder.path() / kBatchFile), nullptr, false);
  if (batch.is_object() && batch.contains("settings")) { earlier_identity_ = batch["settings"]; }
}

// In what the earlier batch is another one; "" when it is not.
std::string BatchIndex::difference(const std::vector<IndexRow>& rows, bool adding) const {
  if (earlier_.empty()) {
    const std::vector<std::string> found = result_folders(folder_.path());
    return found.empty() ? "" : join_words("no ", kIndexFile, " names the results in ", found[0]);
  }
  if (!earlier_identity_.is_object()) {
    return join_words("no ", kBatchFile, " says its settings");
  }
  Json keys = earlier_identity_;
  keys.update(identity_);  // some are there only where they were asked for
  for (const auto& [key, unused] : keys.items()) {
    const Json before = earlier_identity_.value(key, Json()), now = identity_.value(key, Json());
    if (before != now) { return join_words(key, " was ", before.dump(), ", now ", now.dump()); }
  }
  if (adding) { return ""; }
  const auto same = [](const IndexRow& a, const IndexRow& b) { return a.source == b.source; };
  return std::equal(rows.begin(), rows.end(), earlier_.begin(), earlier_.end(), same)
             ? ""
             : "it is of other texts";
}

std::vector<std::string> BatchIndex::begin(std::vector<IndexRow> rows, bool adding, bool force) {
  const std::string other = difference(rows, adding);
  require(other.empty() || force, ExitCode::io, {.file = folder_.path().native()},
          "results of another batch are here: ", other,
          "; choose another folder, or --force replaces them");
  std::vector<std::string> remaining;
  if (!other.empty()) {
    remaining = result_folders(folder_.path());
    earlier_.clear();
  }
  std::multimap<std::string, const IndexRow*> by_source;
  std::size_t numbers = 0;
  for (const IndexRow& row : earlier_) {
    by_source.emplace(row.source, &row);
    numbers = std::max(numbers, folder_number(row.folder));
  }
  rows_ = std::move(rows);
  done_before_.assign(rows_.size(), false);
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    IndexRow& row = rows_[i];
    const auto found = by_source.lower_bound(row.source);  // the first of several
    if (found == by_source.end() || found->first != row.source) {
      const std::string stem = row.folder;
      row.folder = numbered_folder(earlier_.empty() ? i : numbers++, stem);
      continue;
    }
    row.folder = found->second->folder;
    done_before_[i] = found->second->status == TextStatus::done && row.hash == found->second->hash;
    by_source.erase(found);
  }
  for (const auto& [source, row] : by_source) { rows_.push_back(*row); }
  for (const IndexRow& row : rows_) { std::erase(remaining, row.folder); }
  return remaining;
}

bool BatchIndex::done_before(std::size_t i) const {
  return done_before_[i];
}

void BatchIndex::save() {
  if (!saved_batch_) {
    const Json batch{
        {"schema", kBatchSchema}, {"command", display_text(command_)}, {"settings", identity_}};
    folder_.put(kBatchFile, json_text(batch));
    saved_batch_ = true;
  }
  const auto start = std::chrono::steady_clock::now();
  folder_.put(kIndexFile, csv_of(rows_));
  last_save_ = std::chrono::steady_clock::now();
  save_cost_ = last_save_ - start;
}

void BatchIndex::save_soon() {
  constexpr int kWorkPerSave = 30;
  if (std::chrono::steady_clock::now() - last_save_ >= kWorkPerSave * save_cost_) { save(); }
}

}  // namespace kappascope
