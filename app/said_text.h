// The bytes of tokens that come one by one, as text that can be shown at once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kappascope {

// Gives whole code points only; bytes that are no UTF-8 become U+FFFD. What may be the beginning of
// a stop text waits until it is known not to be; a stop text, and all behind it, is never given.
class SaidText {
 public:
  explicit SaidText(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // What can be shown now that these bytes came.
  std::string add(std::string_view bytes);
  // What waits, at the end of the text.
  std::string finish();

  bool stopped() const { return stopped_; }         // a stop text came
  const std::string& text() const { return all_; }  // all that was given

 private:
  std::string take_code_points(bool all);
  std::size_t waiting_for_stop() const;
  std::string give(std::size_t bytes);

  std::vector<std::string> stops_;
  std::string bytes_;  // not yet whole code points
  std::string held_;   // code points that may begin a stop text
  std::string all_;
  bool stopped_ = false;
};

}  // namespace kappascope
