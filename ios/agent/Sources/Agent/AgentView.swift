#if canImport(SwiftUI) && os(iOS)
import AVFAudio
import Hookswitch
import HookswitchApple
import SwiftUI
import UserNotifications

/// Draws what ``AgentModel`` says, and hands back what is pressed. Nothing is decided here.
public struct AgentView: View {
    @StateObject private var drawn: Drawn

    /// The app's screens.
    public init(_ model: AgentModel) { _drawn = StateObject(wrappedValue: Drawn(model)) }

    private var model: AgentModel { drawn.model }

    public var body: some View {
        let _ = drawn.round
        Group {
            switch model.front {
            case .call(let screen): CallPage(screen: screen, model: model)
            case .signIn(let screen): SignInPage(screen: screen, model: model)
            case .home(let screen): HomePage(screen: screen, model: model)
            }
        }
        .alert(model.message ?? "", isPresented: .init(get: { model.message != nil }, set: { _ in model.read() })) {}
        .onOpenURL { link in Task { await model.opened(link) } }
    }
}

/// Tells SwiftUI that there is something new.
@MainActor final class Drawn: ObservableObject {
    let model: AgentModel
    @Published var round = 0

    init(_ model: AgentModel) {
        self.model = model
        model.changed = { [weak self] in self?.round += 1 }
    }
}

private struct SignInPage: View {
    let screen: SignInScreen
    let model: AgentModel

    var body: some View {
        VStack(spacing: 16) {
            Text(screen.line).font(.title2).multilineTextAlignment(.center)
            if let about = screen.about { Text(about).foregroundStyle(.secondary).multilineTextAlignment(.center) }
            if screen.waits { ProgressView() }
            ForEach(screen.actions, id: \.self) { action in
                Button(action.title) {
                    guard let window = UIApplication.shared.frontWindow else { return }
                    Task { await model.press(action.meaning, window: window) }
                }
                .buttonStyle(.borderedProminent)
            }
        }
        .padding()
    }
}

private struct CallPage: View {
    let screen: CallScreen
    let model: AgentModel

    var body: some View {
        VStack(spacing: 24) {
            Text(screen.line).foregroundStyle(.secondary)
            Text(screen.caller).font(.largeTitle)
            ForEach(screen.actions, id: \.self) { action in
                Button(action.title) { Task { await model.press(action.meaning, call: screen.id) } }
                    .buttonStyle(.borderedProminent)
                    .accessibilityAddTraits(action.isChosen ? .isSelected : [])
            }
        }
        .padding()
    }
}

private struct HomePage: View {
    let screen: HomeScreen
    let model: AgentModel

    var body: some View {
        NavigationStack {
            List {
                if let connection = screen.connection { Text(connection) }
                if let banner = screen.banner {
                    Section {
                        Text(banner.line)
                        if let warning = banner.warning { Text(warning) }
                        Button(banner.off) { Task { await model.forward(to: nil) } }
                    }
                }
                ForEach(screen.notices, id: \.self) { Text($0) }
                Section(screen.status ?? "") {
                    ForEach(screen.choices, id: \.self) { choice in
                        Button {
                            Task { await model.choose(choice.meaning) }
                        } label: {
                            Label(choice.title, systemImage: choice.isChosen ? "checkmark.circle.fill" : "circle")
                        }
                        .accessibilityAddTraits(choice.isChosen ? .isSelected : [])
                    }
                }
                Section {
                    NavigationLink(text("forwarding")) { ForwardingPage(model: model) }
                    NavigationLink(text("calls")) { CallsPage(screen: model.log) }
                    NavigationLink(text("devices")) { DevicesPage(model: model) }
                    NavigationLink(text("permissions")) { PermissionsPage() }
                    NavigationLink(text("repair")) { HelpPage(model: model) }
                    Button(text("sign_out"), role: .destructive) { Task { await model.signOut() } }
                }
            }
            .navigationTitle(screen.name)
        }
    }
}

private struct ForwardingPage: View {
    let model: AgentModel
    @State private var number = ""

    var body: some View {
        let screen = model.forwarding
        List {
            Text(screen.line)
            Text(screen.about).foregroundStyle(.secondary)
            if let off = screen.off { Button(off) { Task { await model.forward(to: nil) } } }
            TextField(text("number"), text: $number).keyboardType(.phonePad).textContentType(.telephoneNumber)
            ForEach(screen.lengths, id: \.self) { length in
                Button(length.title) { Task { await model.forward(to: number, length.meaning) } }.disabled(number.isEmpty)
            }
        }
        .navigationTitle(text("forwarding"))
    }
}

private struct CallsPage: View {
    let screen: CallsScreen

    var body: some View {
        List {
            if let empty = screen.empty { Text(empty) }
            ForEach(Array(screen.lines.enumerated()), id: \.offset) { _, line in
                VStack(alignment: .leading) {
                    Text(line.what)
                    Text(line.at).font(.caption).foregroundStyle(.secondary)
                }
                .accessibilityElement(children: .combine)
            }
        }
        .navigationTitle(text("calls"))
    }
}

private struct DevicesPage: View {
    let model: AgentModel

    var body: some View {
        let screen = model.devices
        List {
            Section(text("phones")) {
                ForEach(screen.phones) { phone in
                    VStack(alignment: .leading) {
                        Text(phone.name)
                        Text(phone.rings).font(.caption).foregroundStyle(.secondary)
                    }
                }
            }
            Section(text("signed_in_at")) {
                ForEach(screen.places) { place in
                    HStack {
                        VStack(alignment: .leading) {
                            Text(place.name)
                            Text(place.since).font(.caption).foregroundStyle(.secondary)
                        }
                        Spacer()
                        Button(place.end) { Task { await model.end(place.id) } }
                    }
                }
            }
        }
        .navigationTitle(text("devices"))
    }
}

private struct PermissionsPage: View {
    @State private var answers: [PermissionsScreen.Permission: PermissionsScreen.Answer] = [:]

    var body: some View {
        List(PermissionsScreen(answers).lines, id: \.self) { line in
            VStack(alignment: .leading) {
                HStack {
                    Text(line.name)
                    Spacer()
                    Button(line.button) { Task { await allow(line) } }.disabled(line.cost == nil)
                }
                if let cost = line.cost { Text(cost).font(.caption).foregroundStyle(.secondary) }
            }
        }
        .navigationTitle(text("permissions"))
        .task { await look() }
    }

    private func look() async {
        answers[.microphone] =
            switch AVAudioSession.sharedInstance().recordPermission {
            case .granted: .granted
            case .denied: .denied
            default: .undecided
            }
        answers[.notifications] =
            switch await UNUserNotificationCenter.current().notificationSettings().authorizationStatus {
            case .notDetermined: .undecided
            case .denied: .denied
            default: .granted
            }
    }

    private func allow(_ line: PermissionsScreen.Line) async {
        if line.opensSettings {
            if let settings = URL(string: UIApplication.openSettingsURLString) { await UIApplication.shared.open(settings) }
        } else {
            switch line.permission {
            case .microphone:
                await withCheckedContinuation { done in
                    AVAudioSession.sharedInstance().requestRecordPermission { _ in done.resume() }
                }
            case .notifications:
                // A refusal is seen in the settings that are read next.
                _ = try? await UNUserNotificationCenter.current().requestAuthorization(options: [.alert, .sound])
            }
        }
        await look()
    }
}

private struct HelpPage: View {
    let model: AgentModel
    @State private var report: String?

    var body: some View {
        let version = Bundle.main.infoDictionary?["CFBundleShortVersionString"] as? String ?? ""
        let screen = HelpScreen(model.repair, version: version)
        List {
            Section(text("repair")) {
                ForEach(screen.lines, id: \.self) { Text($0) }
                Button(text("repair_now")) { Task { await model.startRepair() } }.disabled(!screen.canRepair)
            }
            Section(text("report")) {
                Text(screen.report)
                if let report { ShareLink(text("share"), item: report) }
            }
            Section(text("about")) {
                Text(screen.about)
                Text(screen.version)
            }
        }
        .navigationTitle(text("repair"))
        .task { report = await model.report() }
    }
}

extension UIApplication {
    /// The window that the agent looks at.
    var frontWindow: UIWindow? {
        let scenes = connectedScenes.compactMap { $0 as? UIWindowScene }
        return (scenes.first { $0.activationState == .foregroundActive } ?? scenes.first)?.keyWindow
    }
}
#endif
