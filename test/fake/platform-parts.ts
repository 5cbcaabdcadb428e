/**
 * What a platform opens, in memory: the kernel of fake-kernel.ts, sockets that keep what is sent and bring what a test makes them hear.
 * Real are the journal and the control socket, in a directory of the test.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { Platform, type PlatformParts } from "../../controller/daemon/platform.js";
import type {
  MobilityHeaderOut,
  SignallingReceiver,
  UdpPacket,
} from "../../controller/daemon/signalling/signalling.js";
import { Storage } from "../../controller/daemon/storage.js";
import type { SyscallError } from "../../controller/io/native.js";
import { InterfaceNames } from "../../controller/kernel/names.js";
import type { RefusedOption } from "../../controller/kernel/xfrm/report-watch.js";
import type { StateCounters } from "../../controller/kernel/xfrm/security-messages.js";
import type { Logger } from "../../controller/log.js";
import type { JournalRole } from "../../controller/store/journal.js";
import { FakeKernel } from "./fake-kernel.js";

class KernelOfPlatform extends FakeKernel {
  readonly names = new InterfaceNames();
  readonly announceMove = async (): Promise<void> => undefined;
  readonly stateCounters = async (): Promise<readonly StateCounters[]> => [];
  closed = false;

  counters() {
    return { transactions: 1, messages: 2, dumps: 3, dumpRestarts: 0, errors: 0, overruns: 0, timeouts: 0, strays: 0 };
  }

  override close(): void {
    super.close();
    this.closed = true;
  }
}

class Sockets {
  readonly sent: MobilityHeaderOut[] = [];
  /** What a send throws. */
  refusal: Error | undefined;
  receivers: SignallingReceiver[] = [];
  /** Devices that were given up, by the reason. */
  readonly renewed: SyscallError[] = [];
  closed = false;

  sendMobilityHeader(packet: MobilityHeaderOut): void {
    if (this.refusal !== undefined) throw this.refusal;
    this.sent.push(packet);
  }
  sendUdp(_: UdpPacket): void {}
  injectIntoTun(_: Uint8Array): void {}
  listen(receiver: SignallingReceiver): void {
    this.receivers.push(receiver);
  }
  renewTun(why: SyscallError): void {
    this.renewed.push(why);
  }
  close(): void {
    this.closed = true;
  }
}

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly event: string;
  readonly [detail: string]: unknown;
}

/** One machine: platforms may follow each other on it, as after a restart. */
export class FakeMachine {
  readonly directory: string;
  readonly controlSocket: string;
  readonly kernel = new KernelOfPlatform();
  readonly log: LogLine[] = [];
  /** The kernel's word on packets whose Home Address option it refused; undefined while nobody listens. */
  refuseOption: ((packet: RefusedOption) => void) | undefined;
  sockets = new Sockets();
  /** Below /proc/sys. */
  readonly switches = new Map<string, string>();
  /** Why none can be turned. */
  switchRefusal: string | undefined;
  /** How often the lock was let go. */
  released = 0;
  readonly logger: Logger;

  constructor(test: Test) {
    this.directory = mkdtempSync(join(tmpdir(), "dsmipd-platform-"));
    test.teardown(() => rmSync(this.directory, { recursive: true }));
    this.controlSocket = join(this.directory, "control.sock");
    const writer =
      (level: LogLine["level"]) =>
      (line: Omit<LogLine, "level">): void =>
        void this.log.push({ ...line, level } as LogLine);
    const levels = { debug: writer("debug"), info: writer("info"), warn: writer("warn"), error: writer("error") };
    this.logger = levels as unknown as Logger;
  }

  /** As `Platform.open` leaves it. */
  async platform(role: JournalRole = "home-agent"): Promise<Platform> {
    this.sockets = new Sockets();
    const storage = new Storage({
      directory: join(this.directory, "state"),
      role,
      log: this.logger,
      note: () => undefined,
    });
    const parts: PlatformParts = {
      options: { role, controlSocket: this.controlSocket, tunDevice: "dsmip-fake" },
      log: this.logger,
      storage,
      kernel: this.kernel,
      sockets: this.sockets,
      packetCounters: {
        read: async () => new Map([["signalling", { packets: 5n, octets: 500n }]]),
        close: () => undefined,
      },
      watchReports: (onRefused) => {
        this.refuseOption = onRefused;
        return {
          close: () => {
            this.refuseOption = undefined;
          },
        };
      },
      switches: { read: (path) => this.switches.get(path), refusal: () => this.switchRefusal },
      hold: () => () => undefined,
      release: () => this.released++,
    };
    const platform = new Platform(parts);
    await platform.reconciler.start();
    return platform;
  }

  /** Keys of what is in the kernel but for switches, which nobody turns back. */
  get leftovers(): readonly string[] {
    return [...this.kernel.objects].filter(([, { kind }]) => kind !== "sysctl").map(([key]) => key);
  }

  events(level: LogLine["level"]): string[] {
    return this.log.filter((line) => line.level === level).map(({ event }) => event);
  }
}
