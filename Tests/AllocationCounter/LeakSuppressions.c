// What the leak detector, a part of the address sanitizer, may pass over: two objects that XCTest leaks on every run, though
// it finds no test of its kind here. To go once it no longer does (seen in Swift 6.3.1).
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libXCTest.so\n"; }
#endif
#endif
