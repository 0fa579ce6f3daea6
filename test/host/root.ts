// A plugin configuration alive in a VM.

import { BUFFER_PLUGIN_CONFIGURATION, BUFFER_VM_CONFIGURATION } from "./abi.ts";
import { BodyBuffer } from "./body-buffer.ts";
import type { Context } from "./context.ts";
import type { Vm } from "./vm.ts";

export class Root implements Context {
  readonly id: number;
  readonly rootId: number;
  /** What proxy_on_configure said; false also when proxy_on_vm_start said so. */
  readonly configured: boolean;
  private readonly vm: Vm;
  private readonly configuration = new BodyBuffer();
  private readonly vmConfiguration = new BodyBuffer();

  constructor(vm: Vm, id: number, configuration: string, vmConfiguration: string) {
    this.vm = vm;
    this.id = id;
    this.rootId = id;
    this.configuration.append(Buffer.from(configuration));
    this.vmConfiguration.append(Buffer.from(vmConfiguration));
    vm.add(this);
    vm.call("proxy_on_context_create", this, id, 0);
    const started = vm.call("proxy_on_vm_start", this, id, this.vmConfiguration.size) !== 0;
    this.configured = started && vm.call("proxy_on_configure", this, id, this.configuration.size) !== 0;
  }

  /** Calls proxy_on_tick now, whatever its timer says. */
  tick(): void {
    this.vm.call("proxy_on_tick", this, this.id);
  }

  /** Envoy took a newer configuration and the last stream of this one is gone. */
  close(): void {
    this.vm.call("proxy_on_done", this, this.id);
    this.vm.call("proxy_on_log", this, this.id);
    this.vm.call("proxy_on_delete", this, this.id);
    this.vm.setTickPeriod(this.id, 0);
    this.vm.remove(this);
  }

  buffer(type: number): BodyBuffer | undefined {
    if (type === BUFFER_PLUGIN_CONFIGURATION) return this.configuration;
    if (type === BUFFER_VM_CONFIGURATION) return this.vmConfiguration;
    return undefined;
  }

  map(): undefined {
    return undefined;
  }

  noteWrite(): void {}

  property(): undefined {
    return undefined;
  }

  setProperty(): void {}

  sendLocalResponse(): boolean {
    return false;
  }

  continueStream(): boolean {
    return false;
  }

  closeStream(): boolean {
    return false;
  }
}
