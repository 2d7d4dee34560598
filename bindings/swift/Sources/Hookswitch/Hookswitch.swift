internal import HookswitchGenerated

public func ping() -> Bool { _ = Core.self; return true }
