#include "core/figure/ticks.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "core/figure/text.h"

namespace kappascope {
namespace {

// "12345.6" → "12,345.6", as counts are written everywhere.
std::string grouped(std::string text) {
  for (std::size_t at = std::min(text.find('.'), text.size()); at > 3;) {
    at -= 3;
    text.insert(at, ",");
  }
  return text;
}

std::string with_sign(double value, const std::string& digits) {
  const bool zero = digits.find_first_of("123456789") == std::string::npos;
  return (value < 0 && !zero ? "−" : "") + digits;
}

// `value` with `decimals` places, or as m × 10ⁿ where `power` ≠ 0.
std::string tick_label(double value, int decimals, int power) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, std::abs(value) / std::pow(10.0, power));
  std::string digits = with_sign(value, grouped(text));
  if (power == 0 || value == 0) { return value == 0 ? "0" : digits; }
  return (digits == "1" ? "" : digits == "−1" ? "−" : digits + "×") + "10" + superscript(power);
}

constexpr double kMostTickSteps = 9007199254740992;  // 2^53

double round_width(double rough) {
  const double base = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double m : {1.0, 2.0, 5.0}) {
    if (m * base >= rough * (1 - 1e-9)) { return m * base; }
  }
  return 10 * base;
}

// The tick of m·10ⁿ on a log axis, written out or as a power.
std::string log_label(int mantissa, int power, bool plain) {
  char text[64];
  if (plain || (power == 0)) {
    std::snprintf(text, sizeof text, "%.*f", std::max(0, -power), mantissa * std::pow(10.0, power));
    return grouped(text);
  }
  return (mantissa == 1 ? "" : std::to_string(mantissa) + "×") + "10" + superscript(power);
}

}  // namespace

std::vector<Tick> linear_ticks(double low, double high, int most, bool integer) {
  if (!(low < high) || !std::isfinite(high - low) || most < 1) { return {}; }
  double step = round_width((high - low) / std::max(1, most));
  if (integer) { step = std::max(1.0, step); }
  const auto first_of = [&](double s) { return std::ceil(low / s - 1e-9); };
  const auto last_of = [&](double s) { return std::floor(high / s + 1e-9); };
  while (last_of(step) - first_of(step) + 1 > most) { step = round_width(step * 1.5); }
  const double first = first_of(step), last = last_of(step);
  if (last < first || last - first > 1000) { return {}; }
  // Above 2^53 a next number is not there: the range is finer than the values are.
  if (std::max(std::abs(first), std::abs(last)) > kMostTickSteps) { return {}; }
  // Beyond five digits before or after the point all ticks share a power of ten.
  const double largest = std::max(std::abs(first), std::abs(last)) * step;
  const int size = largest > 0 ? static_cast<int>(std::floor(std::log10(largest))) : 0;
  const int power = size >= 6 || size <= -4 ? size : 0;
  const int exponent = static_cast<int>(std::floor(std::log10(step) + 1e-9));
  const int decimals = std::clamp(power - exponent, 0, 15);
  std::vector<Tick> ticks;
  for (double i = first; i <= last; ++i) {
    ticks.push_back({i * step, tick_label(i * step, decimals, power)});
  }
  return ticks;
}

std::vector<Tick> log_ticks(double low, double high, int most) {
  if (!(low > 0) || !(low < high) || !std::isfinite(high) || most < 1) { return {}; }
  const int first = static_cast<int>(std::floor(std::log10(low) - 1e-9));
  const int last = static_cast<int>(std::ceil(std::log10(high) + 1e-9));
  const bool plain = first >= -4 && last <= 5;
  const auto collect = [&](std::initializer_list<int> mantissas, int every) {
    std::vector<Tick> ticks;
    for (int power = first; power <= last; ++power) {
      if (power % every != 0) { continue; }
      for (const int m : mantissas) {
        const double value = m * std::pow(10.0, power);
        if (value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9)) {
          ticks.push_back({value, log_label(m, power, plain)});
        }
      }
    }
    return ticks;
  };
  const auto fits = [&](const std::vector<Tick>& ticks) {
    return ticks.size() <= static_cast<std::size_t>(most);
  };
  for (const auto& mantissas : {std::initializer_list<int>{1, 2, 3, 5}, {1, 2, 5}, {1, 3}, {1}}) {
    std::vector<Tick> ticks = collect(mantissas, 1);
    if (!fits(ticks)) { continue; }
    if (ticks.size() >= 3 || (ticks.size() == 2 && most < 4)) { return ticks; }
    return linear_ticks(low, high, most);
  }
  for (int every = 2;; ++every) {
    std::vector<Tick> ticks = collect({1}, every);
    if (fits(ticks)) { return ticks; }
  }
}

namespace {

bool is_tick(const std::vector<Tick>& ticks, double value) {
  return std::any_of(ticks.begin(), ticks.end(), [&](const Tick& tick) {
    return std::abs(tick.value - value) <= 1e-9 * std::abs(value);
  });
}

// Parts of the gaps of evenly spaced ticks, continued to both ends of the axis.
std::vector<double> even_parts(double low, double high, const std::vector<Tick>& ticks, int parts) {
  if (ticks.size() < 2) { return {}; }
  const double step = (ticks[1].value - ticks[0].value) / parts;
  const double first = std::ceil((low - ticks[0].value) / step - 1e-9);
  const double last = std::floor((high - ticks[0].value) / step + 1e-9);
  std::vector<double> minor;
  for (double i = first; i <= last && last - first < 1000; ++i) {
    const double value = ticks[0].value + i * step;
    if (value > 0 && !is_tick(ticks, value)) { minor.push_back(value); }
  }
  return minor;
}

}  // namespace

std::vector<double> minor_log_ticks(double low, double high, const std::vector<Tick>& ticks,
                                    int most) {
  if (!(low > 0) || !(low < high) || !std::isfinite(high)) { return {}; }
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  const auto fits = [&](const std::vector<double>& minor) {
    return !minor.empty() && minor.size() <= static_cast<std::size_t>(std::max(0, most));
  };
  for (const auto& mantissas :
       {std::initializer_list<int>{1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 5}, {1}}) {
    std::vector<double> minor;
    for (int power = first; power <= last; ++power) {
      for (const int m : mantissas) {
        const double value = m * std::pow(10.0, power);
        if (value >= low && value <= high && !is_tick(ticks, value)) { minor.push_back(value); }
      }
    }
    if (fits(minor)) { return minor; }
  }
  const bool even = ticks.size() < 3 || std::abs(ticks[2].value - 2 * ticks[1].value +
                                                 ticks[0].value) < 1e-9 * ticks[2].value;
  for (const int parts : {5, 2}) {
    std::vector<double> minor = even_parts(low, high, ticks, parts);
    if (even && fits(minor)) { return minor; }
  }
  return {};
}

long long round_step(long long count, long long most) {
  most = std::max(1LL, most);
  for (long long base = 1;; base *= 10) {
    for (const long long m : {1, 2, 5}) {
      if ((count + m * base - 1) / (m * base) <= most) { return m * base; }
    }
  }
}

}  // namespace kappascope
