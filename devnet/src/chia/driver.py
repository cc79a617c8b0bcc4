"""A Chia network on one machine, by its own developers' code: full node, wallet, harvester and farmer, all on loopback.

Commands come as lines of JSON on standard input, and each is answered by one line of JSON that begins with "@" on standard
output. What the components say goes to standard error. Everything ends when standard input does.
"""

import asyncio
import json
import logging
import os
import sys
from pathlib import Path

WORK = Path(os.environ["DEVNET_WORK"])
CACHE = Path(os.environ["DEVNET_CACHE"])
for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
    os.environ.pop(name, None)  # The farmer would ask a proxy for the pool.
os.environ["HOME"] = str(CACHE)  # Where plots are made, and found the next time.
os.environ["CHIA_ROOT"] = str(CACHE / "root")  # Its sibling "test-plots" is where plots are kept.
os.environ["CHIA_KEYS_ROOT"] = str(WORK / "keys")

import yaml  # noqa: E402
import chia.farmer.farmer  # noqa: E402
import chia.farmer.farmer_api  # noqa: E402
from chia.consensus.pot_iterations import is_overflow_block  # noqa: E402
from chia.full_node.full_node_rpc_api import FullNodeRpcApi  # noqa: E402
from chia.pools.pool_config import PoolingShareState  # noqa: E402
from chia.protocols.full_node_protocol import RespondSignagePoint  # noqa: E402
from chia.simulator.add_blocks_in_batches import add_blocks_in_batches  # noqa: E402
from chia.simulator.block_tools import BlockTools, create_block_tools_async, get_signage_point, test_constants  # noqa: E402
from chia.simulator.keyring import TempKeyring  # noqa: E402
from chia.simulator.setup_services import setup_farmer, setup_full_node, setup_harvester, setup_wallet_node  # noqa: E402
from chia.types.peer_info import PeerInfo, UnresolvedPeerInfo  # noqa: E402
from chia.util.bech32m import encode_puzzle_hash  # noqa: E402
from chia.util.keychain import bytes_to_mnemonic  # noqa: E402
from chia.wallet.util.tx_config import DEFAULT_TX_CONFIG  # noqa: E402
from chia.wallet.wallet_request_types import (  # noqa: E402
    CreateNewWallet,
    CreateNewWalletType,
    GetWallets,
    NewPoolWalletInitialTargetState,
    PWJoinPool,
    PWSelfPool,
    PWStatus,
    WalletCreationMode,
)
from chia.wallet.wallet_rpc_client import WalletRpcClient  # noqa: E402
from chia_rs.sized_bytes import bytes32  # noqa: E402
from chia_rs.sized_ints import uint8, uint16, uint32, uint64  # noqa: E402

HOST = "127.0.0.1"
SEED = bytes32(bytes.fromhex("d326b2a4b8072816f23256ea7619b63d905c73e0918b96d858f3181ef433bcb6"))
# The key of a wallet that a pool may use; see POOL_KEY of the crate.
POOL_SEED = bytes32(b"\x5a" * 32)
NOWHERE = bytes32(b"\x11" * 32)
CONSTANTS = test_constants.replace(
    # With the tests' own 16 bits outputs repeat, and one signage point has two challenges.
    DISCRIMINANT_SIZE_BITS=uint16(512),
    # With the tests' own 1024 a few plots leave most sub-slots empty, and each of those takes half a second.
    DIFFICULTY_STARTING=uint64(64),
)


def say(**answer):
    print("@" + json.dumps(answer), flush=True)


class Devnet:
    def __init__(self, stack):
        self.stack = stack
        self.p2 = None
        self.announced = {}  # The last signage point's index on top of each block.

    async def start(self):
        enter = self.stack.enter_async_context
        keychain = self.stack.enter_context(TempKeyring(populate=True))
        self.bt = await enter(
            create_block_tools_async(
                CONSTANTS,
                keychain=keychain,
                num_og_plots=4,
                num_pool_plots=0,
                num_non_keychain_plots=0,
                num_v2_plots=0,
            )
        )
        self.node = await self.full_node("blockchain.sqlite", self.bt)
        self.api = self.node._api
        # Its own certificates make another peer of it; it makes no blocks.
        self.other = self.stack.enter_context(BlockTools(CONSTANTS, keychain=keychain))
        await self.other.setup_keys()
        self.second = await self.full_node("second.sqlite", self.other)
        second = self.second._api.full_node
        await second.server.start_client(
            PeerInfo(HOST, self.api.full_node.server.get_port()), second.on_connect
        )
        return {
            "node": self.service(self.node, self.bt.root_path, "full_node"),
            "second": self.service(self.second, self.other.root_path, "full_node"),
        }

    async def full_node(self, database, bt):
        node = await self.stack.enter_async_context(
            setup_full_node(CONSTANTS, database, HOST, bt, simulator=True, db_version=2)
        )
        # A node without peers is in step with nobody, unless its network is a simulated one.
        config = node._api.full_node.config
        networks = config["network_overrides"]["config"]
        networks["simulator0"] = networks[config["selected_network"]]
        config["selected_network"] = "simulator0"
        return node

    def service(self, service, root, kind):
        certificate = root / f"config/ssl/{kind}/private_{kind}"
        return {
            "rpc": f"{HOST}:{service.rpc_server.listen_port}",
            "authority": str(root / "config/ssl/ca/private_ca.crt"),
            "certificate": f"{certificate}.crt",
            "key": f"{certificate}.key",
        }

    async def join(self, url, authority, target, lock):
        """The wallet makes a plot NFT of its own and wins a block with it; then it joins the pool, plots are made for it, and the
        farmer starts. The farmer trusts this authority's certificates, as it otherwise trusts Mozilla's."""
        chia.farmer.farmer.get_mozilla_ca_crt = chia.farmer.farmer_api.get_mozilla_ca_crt = lambda: authority
        self.wallet = await self.new_wallet(SEED, self.bt)
        node = self.wallet._node
        main = node.wallet_state_manager.main_wallet
        await self.api.farm_rewards_to_wallet(amount=8_000_000_000_000, wallet=main)
        self.client = await WalletRpcClient.create(
            HOST, self.wallet.rpc_server.listen_port, self.wallet.root_path, self.wallet.config
        )
        self.stack.callback(self.client.close)
        await self.api.wait_for_wallet_synced(wallet_node=node, timeout=60)
        await self.client.create_new_wallet(
            CreateNewWallet(
                wallet_type=CreateNewWalletType.POOL_WALLET,
                initial_target_state=NewPoolWalletInitialTargetState(state="SELF_POOLING"),
                mode=WalletCreationMode.NEW,
                fee=uint64(0),
                push=True,
                plotnft_version=uint8(1),
            ),
            DEFAULT_TX_CONFIG,
        )
        wallets = []
        while not wallets:
            await self.farm(1, NOWHERE)
            await self.api.wait_for_wallet_synced(wallet_node=node, timeout=60)
            wallets = (await self.client.get_wallets(GetWallets(type=uint16(9)))).wallets
        self.wallet_id = wallets[-1].id
        alone = await self.plot_nft()
        await self.farm(1, alone.p2_singleton_puzzle_hash)
        await self.api.wait_for_wallet_synced(wallet_node=node, timeout=60)
        await self.client.pw_join_pool(
            PWJoinPool(
                wallet_id=uint32(self.wallet_id),
                pool_url=url,
                target_puzzlehash=bytes32.from_hexstr(target),
                relative_lock_height=uint32(lock),
                push=True,
            ),
            DEFAULT_TX_CONFIG,
        )
        status = alone
        while status.current.target_puzzle_hash.hex() != target.removeprefix("0x"):
            await self.farm(1, NOWHERE)
            await self.api.wait_for_wallet_synced(wallet_node=node, timeout=60)
            status = await self.plot_nft()
        self.joined_at = self.height()
        self.p2 = status.p2_singleton_puzzle_hash
        # A folder for each contract: the plotter's own books want to know every plot that it finds.
        plots = CACHE / "plots" / self.p2.hex()
        plots.mkdir(parents=True, exist_ok=True)
        self.bt.add_plot_directory(plots)
        for _ in range(2):
            await self.bt.new_plot(self.p2, plots, tmp_dir=plots)
        await self.bt.refresh_plots()
        payout = await self.farm_with(plots, url, target, status)
        return {
            "launcher": status.launcher_id.hex(),
            "p2": self.p2.hex(),
            "payout": payout.hex(),
            "plots": len(list(plots.glob("*.plot"))),
        }

    async def new_wallet(self, seed, bt):
        """A wallet with the certificates of these tools: a node talks to one peer of a certificate."""
        full_node = self.api.full_node
        wallet = await self.stack.enter_async_context(setup_wallet_node(HOST, CONSTANTS, bt, key_seed=seed))
        id = full_node.server.node_id.hex()
        wallet._node.config["trusted_peers"] = {id: id}
        await wallet._node.server.start_client(PeerInfo(HOST, full_node.server.get_port()), None)
        return wallet

    async def pool_wallet(self):
        """A wallet of Chia's own software that has the pool's key."""
        wallet = await self.new_wallet(POOL_SEED, self.other)
        await self.api.wait_for_wallet_synced(wallet_node=wallet._node, timeout=60)
        return self.service(wallet, wallet.root_path, "wallet")

    async def plot_nft(self):
        return (await self.client.pw_status(PWStatus(wallet_id=uint32(self.wallet_id)))).state

    async def farm_with(self, plots, url, target, status):
        enter = self.stack.enter_async_context
        root = WORK / "farmer"
        self.bt.plot_dir = plots
        self.farmer = await enter(
            setup_farmer(
                self.bt, root, HOST, CONSTANTS, full_node_port=uint16(self.api.full_node.server.get_port())
            )
        )
        config = root / "config/config.yaml"
        text = yaml.safe_load(config.read_text())
        text["full_node"]["selected_network"] = "testnet0"  # On mainnet, pools without TLS are refused.
        config.write_text(yaml.safe_dump(text))
        farmer = self.farmer._node
        mnemonic = bytes_to_mnemonic(SEED)
        farmer.local_keychain.add_key(mnemonic)
        state = self.wallet._node.wallet_state_manager.main_wallet
        async with self.wallet._node.wallet_state_manager.new_action_scope(DEFAULT_TX_CONFIG, push=True) as scope:
            payout = await scope.get_puzzle_hash(self.wallet._node.wallet_state_manager)
        assert state is not None
        PoolingShareState(
            launcher_id=status.launcher_id,
            pool_url=url,
            payout_instructions=payout.hex(),
            target_puzzle_hash=bytes32.from_hexstr(target),
            p2_singleton_puzzle_hash=self.p2,
            owner_public_key=status.current.owner_pubkey,
            key_derivation_index=1,
        ).add(root_path=root)
        port = uint16(self.farmer._server.get_port())
        harvester_root = WORK / "harvester"
        self.harvester = await enter(
            setup_harvester(self.bt, harvester_root, UnresolvedPeerInfo(HOST, port), CONSTANTS)
        )
        return payout

    async def farm(self, count, to):
        await self.api.farm_blocks_to_puzzlehash(
            count=count, farm_to=to, guarantee_transaction_blocks=True, timeout=120
        )
        await self.both()

    async def both(self):
        """Waits until the second node has the chain that the first has."""
        first, second = self.api.full_node.blockchain, self.second._api.full_node.blockchain
        async with asyncio.timeout(60):
            while (peak := second.get_peak()) is None or peak.header_hash != first.get_peak().header_hash:
                await asyncio.sleep(0.02)

    def height(self):
        return self.api.full_node.blockchain.get_peak().height

    def peer(self):
        return next(
            peer for peer in self.api.full_node.server.all_connections.values() if peer.connection_type.name == "FARMER"
        )

    async def points(self, count):
        """New signage points on top of the chain, until so many have been announced."""
        made = []
        while len(made) < count:
            blockchain = self.api.full_node.blockchain
            peak = blockchain.get_peak()
            first = 1 + self.announced.get(peak.header_hash, peak.signage_point_index + 3)
            for index in range(first, 12):
                if len(made) == count or is_overflow_block(CONSTANTS, uint8(index)):
                    break
                point = get_signage_point(
                    CONSTANTS,
                    blockchain,
                    peak,
                    peak.ip_sub_slot_total_iters(CONSTANTS),
                    uint8(index),
                    [],
                    peak.sub_slot_iters,
                )
                message = RespondSignagePoint(
                    uint8(index), point.cc_vdf, point.cc_proof, point.rc_vdf, point.rc_proof
                )
                await self.api.respond_signage_point(message, self.peer())
                self.announced[peak.header_hash] = index
                made.append(point.cc_vdf.output.get_hash().hex())
                await asyncio.sleep(0.3)
            if len(made) < count:
                await self.farm(1, NOWHERE)
        return {"points": made}

    async def end_of_sub_slot(self):
        await self.farm(1, NOWHERE)  # What follows the same block would be the same end.
        blocks = await self.api.get_all_full_blocks()
        more = self.bt.get_consecutive_blocks(1, block_list_input=blocks, skip_slots=1)
        done = []
        for bundle in more[-1].finished_sub_slots:
            await self.api.full_node.add_end_of_sub_slot(bundle, self.peer())
            done.append(bundle.challenge_chain.get_hash().hex())
        return {"ends": done}

    async def reorg(self, point):
        """Other chains from ever earlier blocks, each longer, until the node says that this signage point was taken back: a
        signage point does not depend on the blocks of its own sub-slot, so a short reorganisation leaves it standing. (The
        simulator's own command wants overflow blocks, which few plots give.)"""
        rpc = FullNodeRpcApi(self.api.full_node)
        newest = self.height()
        for earlier in range(2, newest - self.joined_at):
            await self.fork(newest - earlier)
            answer = await rpc.get_recent_signage_point_or_eos({"sp_hash": point})
            if answer["reverted"]:
                return {"height": self.height()}
        return {"error": "the signage point was not taken back"}

    async def fork(self, old):
        """Another chain from this height, of nobody's blocks, and longer."""
        blocks = await self.api.get_all_full_blocks()
        more = self.bt.get_consecutive_blocks(
            self.height() - old + 3,
            farmer_reward_puzzle_hash=NOWHERE,
            pool_reward_puzzle_hash=NOWHERE,
            block_list_input=blocks[: old + 1],
            guarantee_transaction_block=True,
            seed=bytes32.secret(),
            skip_slots=2,
        )
        await add_blocks_in_batches(more[old + 1 :], self.api.full_node)
        await self.both()
        logging.info("another chain from %d to %d", old, self.height())
        return {"height": self.height()}

    async def leave(self):
        await self.client.pw_self_pool(
            PWSelfPool(wallet_id=uint32(self.wallet_id), fee=uint64(0), push=True), DEFAULT_TX_CONFIG
        )
        await self.farm(2, NOWHERE)
        return {"height": self.height()}

    async def coins(self, puzzle_hash):
        records = await self.api.full_node.coin_store.get_coin_records_by_puzzle_hash(
            False, bytes32.from_hexstr(puzzle_hash)
        )
        return {"amounts": [record.coin.amount for record in records]}

    async def do(self, command):
        match command["do"]:
            case "join":
                return await self.join(command["url"], command["authority"], command["target"], command["lock"])
            case "points":
                return await self.points(command["count"])
            case "end":
                return await self.end_of_sub_slot()
            case "blocks":
                await self.farm(command["count"], self.p2 if command.get("to_pool") else NOWHERE)
                return {"height": self.height()}
            case "reorg":
                return await self.reorg(command["point"])
            case "fork":
                return await self.fork(command["height"])
            case "mempool":
                return {"count": self.api.full_node.mempool_manager.mempool.size()}
            case "height":
                return {"height": self.height()}
            case "leave":
                return await self.leave()
            case "wallet":
                return await self.pool_wallet()
            case "coins":
                return await self.coins(command["at"])
            case "address":
                return {"address": encode_puzzle_hash(bytes32.from_hexstr(command["of"]), "txch")}


async def main():
    from contextlib import AsyncExitStack

    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async with AsyncExitStack() as stack:
        devnet = Devnet(stack)
        say(**await devnet.start())
        while line := await reader.readline():
            try:
                say(**(await devnet.do(json.loads(line)) or {}))
            except Exception as error:  # The one who asked is told, and decides.
                logging.exception("a command failed")
                say(error=repr(error))
    os._exit(0)


asyncio.run(main())
