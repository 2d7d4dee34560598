// A phone of the lab, by way of Swift: tests/scenarios/PHONES.md says how the two talk.
import Foundation

let phone = PhoneProcess()
while let text = readLine() {
    guard let line = Line(text) else { fatalError("not a line of JSON: \(text)") }
    phone.take(line)
}
// Not the usual way out: the lab is gone, and nothing is left to be said to anybody.
exit(0)
